"""The layers on the architecture page are those that import-linter checks."""

from __future__ import annotations

import tomllib
from typing import Final

import pytest

from tests.kit.docs.pages import DOCS, ROOT

CONTRACTS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS: Final = {each["containers"][0]: each["layers"] for each in CONTRACTS if each["type"] == "layers"}


@pytest.mark.parametrize("container", LAYERS)
def test_the_layers_of_a_contract_are_on_the_page(container: str) -> None:
    place = container.removeprefix("berth.").replace(".", "/")
    layers = " > ".join(LAYERS[container]).replace("|", r"\|").replace("(", "").replace(")", "")
    assert f"| `{place}` | {layers} |" in (DOCS / "architecture.md").read_text().splitlines()


def test_there_is_a_contract_for_the_whole_package() -> None:
    assert "berth" in LAYERS
