"""Names that clusters, manifests and other people's tools rely on."""

from __future__ import annotations

import re

import pytest

from berth.api import names

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@pytest.mark.parametrize("path", ["aligner", "a", "a-b", "x" * 52])
def test_a_path_that_can_name_an_object_does(path: str) -> None:
    assert names.repository_object_name(path) == path


@pytest.mark.parametrize(
    ("path", "slug"), [("tools/a", "tools-a-"), ("a_b", "a-b-"), ("a.b", "a-b-"), ("x" * 60, "x" * 52)]
)
def test_any_other_path_is_named_by_a_readable_slug(path: str, slug: str) -> None:
    name = names.repository_object_name(path)
    assert name.startswith(slug)
    assert DNS_LABEL.fullmatch(name)


def test_paths_that_look_alike_have_names_of_their_own() -> None:
    alike = ["a/b", "a-b", "a_b", "a__b", "a.b", "a--b", "a/b/", "x" * 60, "x" * 61]
    assert len({names.repository_object_name(path) for path in alike}) == len(alike)


@pytest.mark.parametrize("path", ["a/b", "a_b", "a__b", "a--b", "a.b/c-d_e", "0"])
def test_paths_of_the_registry_grammar_are_repositories(path: str) -> None:
    assert re.search(names.REPOSITORY_PATTERN, path)


@pytest.mark.parametrize(
    "path", ["", "A", "/a", "a/", "a//b", "a/../b", "a..b", "a___b", "-a", "a-", "a:b", "a@b", "a b"]
)
def test_anything_else_is_not(path: str) -> None:
    assert not re.search(names.REPOSITORY_PATTERN, path)


def test_the_longest_project_id_still_gives_a_namespace() -> None:
    assert DNS_LABEL.fullmatch(names.project_namespace("p" * names.PROJECT_ID_MAX_LENGTH))


def test_no_token_serves_two_registries() -> None:
    assert names.registry_audience("a") != names.registry_audience("b")
