"""The operations of the matrix: what each sends, and what its success looks like."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from e2e.suite.content import MEDIA_INDEX, MEDIA_MANIFEST
from e2e.suite.http import Answer, Session, digest_of, image, with_query

LAYER: Final = b"the layer that every image of the matrix has"
ELSEWHERE: Final = b"a layer that other repositories have"

_ACCEPT: Final = (("Accept", f"{MEDIA_MANIFEST}, {MEDIA_INDEX}"),)
_MANIFEST: Final = (("Content-Type", MEDIA_MANIFEST),)
_BYTES: Final = (("Content-Type", "application/octet-stream"),)


def first_image() -> bytes:
    """What `v1` and `latest` are before anything happens."""
    return image(LAYER)


def own_image(purpose: str, subject: str) -> bytes:
    """A manifest that belongs to one cell alone."""
    return image(LAYER, annotations={"berth.test/cell": f"{purpose} {subject}"})


@dataclass(frozen=True)
class Cell:
    """One operation of one subject, with everything that belongs to it alone.

    `session` holds the subject's token. `uploads` are targets of upload sessions that the curator began here.
    """

    operation: str
    subject: str
    session: Session
    repository: str  # full name
    uploads: Mapping[str, str]
    source: str  # full name of a repository in the same project that every member of the project may pull
    closed: str  # full name of one in the same project that the curator alone may pull
    across: str  # full name of one in another project that all of them may pull

    @property
    def project(self) -> str:
        return self.repository.partition("/")[0]

    def send(self) -> Answer:
        return OPERATIONS[self.operation].send(self)

    def ask(self, method: str, path: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Answer:
        return self.session.ask(method, f"/v2/{self.repository}/{path}", headers, body)

    def put(self, tag: str, purpose: str) -> Answer:
        return self.ask("PUT", f"manifests/{tag}", _MANIFEST, own_image(purpose, self.subject))

    def mount(self, source: str) -> Answer:
        return self.ask("POST", f"blobs/uploads/?mount={digest_of(ELSEWHERE)}&from={source}")


@dataclass(frozen=True)
class Operation:
    """`action` is what it needs; `success` the status with which it is done."""

    action: str
    success: int
    send: Callable[[Cell], Answer]


def _patch(cell: Cell) -> Answer:
    return cell.session.ask("PATCH", cell.uploads["patch upload"], _BYTES, b"a part")


def _put(cell: Cell) -> Answer:
    content = f"a layer of {cell.subject}".encode()
    where = with_query(cell.uploads["put upload"], f"digest={digest_of(content)}")
    return cell.session.ask("PUT", where, _BYTES, content)


OPERATIONS: Final[Mapping[str, Operation]] = {
    "HEAD manifest": Operation("pull", 200, lambda cell: cell.ask("HEAD", "manifests/v1", _ACCEPT)),
    "HEAD digest": Operation(
        "pull", 200, lambda cell: cell.ask("HEAD", f"manifests/{digest_of(first_image())}", _ACCEPT)
    ),
    "GET manifest": Operation("pull", 200, lambda cell: cell.ask("GET", "manifests/v1", _ACCEPT)),
    "HEAD blob": Operation("pull", 200, lambda cell: cell.ask("HEAD", f"blobs/{digest_of(LAYER)}")),
    "GET blob": Operation("pull", 200, lambda cell: cell.ask("GET", f"blobs/{digest_of(LAYER)}")),
    "list tags": Operation("pull", 200, lambda cell: cell.ask("GET", "tags/list")),
    "list catalog": Operation("view", 200, lambda cell: cell.session.ask("GET", "/v2/_catalog?n=1000")),
    "list referrers": Operation("pull", 200, lambda cell: cell.ask("GET", f"referrers/{digest_of(first_image())}")),
    "start upload": Operation("push", 202, lambda cell: cell.ask("POST", "blobs/uploads/")),
    "patch upload": Operation("push", 202, _patch),
    "put upload": Operation("push", 201, _put),
    "mount within": Operation("push", 201, lambda cell: cell.mount(cell.source)),
    # What may not be mounted becomes an ordinary upload: the client sends the bytes.
    "mount across": Operation("push", 202, lambda cell: cell.mount(cell.across)),
    "mount closed": Operation("push", 202, lambda cell: cell.mount(cell.closed)),
    "new manifest": Operation("push", 201, lambda cell: cell.put(f"new-{cell.subject}", "new")),
    "overwrite": Operation("push", 201, lambda cell: cell.put(f"over-{cell.subject}", "overwritten")),
    "move latest": Operation("push", 201, lambda cell: cell.put("latest", "latest")),
    "delete tag": Operation("delete", 202, lambda cell: cell.ask("DELETE", f"manifests/tag-{cell.subject}")),
    "delete digest": Operation(
        "delete", 202, lambda cell: cell.ask("DELETE", f"manifests/{digest_of(own_image('digest', cell.subject))}")
    ),
}


def listed(answer: Answer) -> list[str]:
    """The repositories of an answer to `list catalog`."""
    return list(json.loads(answer.body)["repositories"])
