"""The built images, as they lie in the cache: who runs in them, and what is not in them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from imagebuild.cache import default_cache

ALL = ("berth", "gateway", "registry", "hello", "pause")


@dataclass(frozen=True)
class BuiltImage:
    """One archive, read: its configuration and the paths of all its layers."""

    name: str
    config: dict[str, Any]
    paths: frozenset[str]

    @property
    def programs(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self.paths if "bin" in path.split("/")[:-1]}


def read(short: str) -> BuiltImage:
    path = default_cache().archive(short)
    assert path.exists(), f"{path} is missing: run e2e/images/build {short}"
    with tarfile.open(path) as archive:
        (entry,) = json.load(_member(archive, "manifest.json"))
        config = json.load(_member(archive, entry["Config"]))
        paths = frozenset(inner for layer in entry["Layers"] for inner in _paths(archive, layer))
    return BuiltImage(entry["RepoTags"][0], config["config"], paths)


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None
    return found


def _paths(archive: tarfile.TarFile, layer: str) -> Iterator[str]:
    with tarfile.open(fileobj=_member(archive, layer)) as files:
        yield from (name.removeprefix("./") for name in files.getnames())


@pytest.mark.parametrize("short", ALL)
def test_nothing_runs_as_root(short: str) -> None:
    assert read(short).config["User"] == "65532:65532"


@pytest.mark.parametrize("short", ALL)
def test_an_image_is_named_as_the_chart_and_the_cluster_name_it(short: str) -> None:
    name = read(short).name
    assert name.startswith(f"berth.local/{short}:")


@pytest.mark.parametrize("short", ["berth", "gateway"])
def test_an_image_names_its_licence(short: str) -> None:
    assert read(short).config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_image_of_berth_has_a_python_and_no_other_program() -> None:
    image = read("berth")
    assert image.config["Entrypoint"] == ["berth"]
    assert image.programs == {"berth", "python3", "python3.11"}


def test_the_image_of_berth_has_no_pip_and_nothing_of_the_network_it_was_built_in() -> None:
    image = read("berth")
    assert not [path for path in image.paths if "site-packages/pip" in path or "dependencies/pip/" in path]
    assert not [path for path in image.paths if path.startswith(("run/secrets", "etc/pip", "src", "opt/build"))]
    assert not [line for line in image.config["Env"] if line.startswith(("PIP_", "HTTP", "http", "SSL_"))]


def test_the_registry_image_runs_the_registry_as_its_makers_image_does() -> None:
    image = read("registry")
    assert (image.config["Entrypoint"], image.config["Cmd"]) == (
        ["registry"],
        ["serve", "/etc/distribution/config.yml"],
    )
    assert {"bin/registry", "etc/ssl/certs/ca-certificates.crt"} <= image.paths
