"""The part of docs/clients.md that is made from the table of clients: `python -m e2e.suite.clients.page`.

Reads the page on stdin and writes it with that part anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final

from e2e.suite.clients import CLIENTS
from e2e.suite.clients.buildkit import BuildKit
from e2e.suite.clients.client import Client, Login
from e2e.suite.clients.cosign import Cosign
from e2e.suite.clients.kubelet import Kubelet
from e2e.suite.world import ROOT

BEGIN: Final = "<!-- generated: begin (python -m e2e.suite.clients.page) -->"
END: Final = "<!-- generated: end -->"
_EXAMPLE: Final = {
    "sentence": "M",
    "host": "HOST",
    "path": "p/r",
    "name": "HOST/p/r",
    "version": "1",
    "ref": "HOST/p/r:1",
    "full": "HOST/p/r:1",
}
_MODULES: Final = {
    "docker": ("dockerd", "github.com/moby/moby/v2"),
    "docker-classic": ("dockerd", "github.com/moby/moby/v2"),
    "buildkit": ("buildkit", "github.com/moby/buildkit"),
    "buildx": ("buildx", "github.com/docker/buildx"),
    "ctr": ("containerd", "github.com/containerd/containerd/v2"),
    "kubelet": ("kubernetes", "k8s.io/kubernetes"),
    "crane": ("crane", "github.com/google/go-containerregistry"),
    "regctl": ("regctl", "github.com/regclient/regclient"),
    "helm": ("helm", "helm.sh/helm/v4"),
    "oras": ("oras", "oras.land/oras"),
    "cosign": ("cosign", "github.com/sigstore/cosign/v3"),
}
_BESIDES: Final = (
    ("kubelet, status of the container", Kubelet.refused_status),
    ("BuildKit, export of a build cache", BuildKit.refused_cache),
    ("BuildKit, import of a build cache (a warning)", BuildKit.warned_cache),
    ("cosign sign", Cosign.refused_signature),
    ("cosign verify", Cosign.refused_verification),
)


def renewed(page: str) -> str:
    """The page with the generated part as it has to be."""
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    made = "\n".join(_generated())
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def _generated() -> Iterator[str]:
    yield (
        "| client | tested | pull refused | push refused | manifest of a push refused | login refused "
        "| login after too many that failed |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for client in CLIENTS:
        refusals = client.refusals
        pull = _code(refusals.pull)
        if refusals.pull_by_digest:
            pull += f"<br>by digest: {_code(refusals.pull_by_digest)}"
        texts = (pull, _code(refusals.push), _code(refusals.manifest), *_logins(client))
        yield f"| {client.name} | {_version(client.name)} | {' | '.join(texts)} |"
    yield ""
    yield "| beside push and pull | |"
    yield "| --- | --- |"
    for what, template in _BESIDES:
        yield f"| {what} | {_code(template)} |"
    yield ""
    yield "## Known limits and notes"
    yield ""
    for client in CLIENTS:
        for note in client.refusals.notes:
            yield f"- {client.name}: {note}"
    yield ""


def _logins(client: Client) -> tuple[str, str]:
    if not isinstance(client, Login):
        return "no login of its own", _code("")
    if not client.refusals.login:
        return "sends no request", _code("")
    return _code(client.refusals.login), _code(client.refusals.throttled)


def _code(template: str) -> str:
    """A template, filled in, as it is in a cell of a table."""
    lines = template.format(**_EXAMPLE).replace("|", "\\|").splitlines()
    return "<br>".join(f"`{line}`" for line in lines) or "–"


def _version(client: str) -> str:
    """The version that the tests build; the others are Debian's."""
    if client not in _MODULES:
        return "Debian 12"
    folder, module = _MODULES[client]
    pinned = (ROOT / "e2e" / "tools" / folder / "go.mod").read_text()
    found = re.search(rf"^\s*{re.escape(module)}\s+(v\S+)", pinned, re.MULTILINE)
    assert found, f"e2e/tools/{folder}/go.mod does not pin {module}"
    return found[1].removesuffix("+incompatible")


if __name__ == "__main__":
    sys.stdout.write(renewed(sys.stdin.read()))
