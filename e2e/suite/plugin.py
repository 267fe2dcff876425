"""`kubectl berth` of this tree, as kubectl finds a plugin: a program on the PATH."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from e2e.suite.world import ROOT, TOOLS, Cluster, Result

_PROGRAM = f"""#!/bin/sh
PYTHONPATH={ROOT}/operator exec {sys.executable} -c 'from berth.cli.kubectl.main import main; main()' "$@"
"""


@dataclass(frozen=True)
class Plugin:
    """Runs `kubectl berth …` inside the cluster."""

    cluster: Cluster
    folder: Path

    def __call__(self, *arguments: str) -> Result:
        path = f"{self.folder}:{TOOLS / 'bin'}:{os.environ.get('PATH', os.defpath)}"
        return self.cluster.run("kubectl", "berth", *arguments, env={"PATH": path})


def install_plugin(cluster: Cluster, folder: Path) -> Plugin:
    """Put the program into the folder."""
    program = folder / "kubectl-berth"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    return Plugin(cluster, folder)
