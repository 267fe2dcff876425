"""Links, paths, commands and manifests in the documentation are correct."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from berth.api.accesstest import AccessTest
from berth.api.policy import AccessPolicy
from berth.authz.policy.manifests import MODELS
from berth.cli.kubectl.main import cli
from tests.kit.docs.pages import DOCS, ROOT, anchors, code, links, long_lines, manifests, pages, plugin_commands, target
from tests.kit.docs.paths import is_module, is_path, named_modules, named_paths


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_prose_wraps_at_100_columns(page: Path) -> None:
    assert long_lines(page, 100) == []


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_every_link_has_a_target(page: Path) -> None:
    for link in links(page):
        path, anchor = target(page, link)
        assert path.exists(), f"{link}: there is no {path}"
        assert not anchor or anchor in anchors(path), f"{link}: {path} has no heading for it"


def test_every_page_is_reached_from_the_readme() -> None:
    found: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        found.add(page)
        reached = (target(page, link)[0] for link in links(page))
        ahead += [path for path in reached if path.suffix == ".md" and path not in found]
    decisions = set((DOCS / "adr").glob("*.md"))  # a folder of their own, linked as such
    assert set(DOCS.rglob("*.md")) - found - decisions == set()


def test_every_example_is_on_a_page() -> None:
    named = {target(page, link)[0] for page in pages() for link in links(page)}
    named |= {ROOT / path for page in pages() for path in re.findall(r"docs/examples/[\w-]+\.yaml", code(page))}
    missing = {_named(example) for example in (DOCS / "examples").glob("*.yaml") if example not in named}
    assert missing == set()


def test_every_make_target_on_a_page_exists() -> None:
    known = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in pages() for name in re.findall(r"(?:^|`)make ([a-z-]+)", code(page), re.MULTILINE)}
    assert "demo" in named
    assert named - known == set()


@pytest.mark.parametrize("page", pages(), ids=_named)
def test_every_file_and_module_on_a_page_exists(page: Path) -> None:
    assert [path for path in named_paths(page) if not is_path(page, path)] == []
    assert [name for name in named_modules(page) if not is_module(name)] == []


def test_there_are_files_and_modules_on_pages() -> None:
    assert len([path for page in pages() for path in named_paths(page)]) > 100
    assert any(named_modules(page) for page in pages())


KINDS: dict[str, type[BaseModel]] = {**MODELS, "AccessTest": AccessTest, "AccessPolicy": AccessPolicy}
MANIFESTS = [(page, manifest) for page in pages() for manifest in manifests(page)]


@pytest.mark.parametrize("shown", MANIFESTS, ids=lambda each: f"{_named(each[0])}: {each[1]['kind']}")
def test_every_manifest_on_a_page_is_valid(shown: tuple[Path, dict[str, Any]]) -> None:
    manifest = shown[1]
    model = KINDS.get(manifest["kind"])
    assert (model is None) is (not manifest["apiVersion"].startswith("berth.dev/"))
    if model is not None:
        model.model_validate(manifest)


COMMANDS = [(page, words) for page in pages() for words in plugin_commands(page)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: f"{_named(each[0])}: {' '.join(each[1])}")
def test_every_plugin_command_on_a_page_is_parsed(
    command: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("checkout/policy", "main/policy"):  # the folders of the examples
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    _parse(cli, command[1])


def _parse(command: click.Command, words: list[str]) -> None:
    """Parse the words as the command line does, without running them. Raises click's errors."""
    context = command.make_context(command.name, list(words))
    if isinstance(command, click.Group):
        _, child, rest = command.resolve_command(context, context._protected_args + context.args)
        assert child is not None
        _parse(child, rest)


def test_there_are_commands_and_manifests_on_pages() -> None:
    assert len(COMMANDS) > 5
    assert len(MANIFESTS) > 8
