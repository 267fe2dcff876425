"""The chart, rendered by helm."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.kit.control_plane import tool
from tests.kit.docs.pages import ROOT

CHART = ROOT / "charts" / "berth"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("helm"), *arguments], capture_output=True, text=True, check=False, timeout=60)


def render(values: Path, *arguments: str) -> list[dict[str, Any]]:
    result = helm("template", "berth", str(CHART), "--namespace", "berth-system", "--values", str(values), *arguments)
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]
