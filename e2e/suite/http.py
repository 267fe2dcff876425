"""The registry protocol, request by request: what no client lets a test send, and bulk pushes that take milliseconds.

`Wire` sends requests byte for byte, from inside the cluster's namespaces (the program is `wire.py`).
`Session` is one person at the one address: tokens, uploads, manifests (OCI distribution specification 1.1).
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from e2e.suite.content import MEDIA_CONFIG, MEDIA_INDEX, MEDIA_LAYER, MEDIA_MANIFEST
from e2e.suite.world import HOST, ROOT, Person

PROGRAM = Path(__file__).with_name("wire.py")
ANSWER_SECONDS = 90.0
EMPTY_CONFIG = b"{}"

Headers = Sequence[tuple[str, str]]


class NoAnswer(AssertionError):  # noqa: N818 - it is an outcome, not a mistake
    """No response: refused, unreachable or closed in the middle. A waiting test waits on."""


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that (lower-case) name, or an empty text."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, code and sentence of a refusal, which has exactly one error and no detail."""
        errors = self.json["errors"]
        assert [set(error) for error in errors] == [{"code", "message"}], errors
        assert self.header("content-type") == "application/json", self.headers
        return self.status, errors[0]["code"], errors[0]["message"]

    def must(self, *expected: int) -> Answer:
        """This answer, or a failure that shows it."""
        assert self.status in expected, f"{self.status}, not {expected}: {self.body[:500]!r} {self.headers}"
        return self


class Wire:
    """The program inside the namespaces. Requests of several threads run beside each other."""

    def __init__(self) -> None:
        words = [str(ROOT / "e2e" / "in-cluster"), sys.executable, "-I", str(PROGRAM)]
        self._program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._sent = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        for unanswered in list(self._waiting.values()):
            unanswered.set_exception(NoAnswer("the program on the wire has ended"))

    def ask(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        address: tuple[str, int] = (HOST, 443),
        tls: bool = True,
        cut: int | None = None,
    ) -> Answer:
        """One request over a connection of its own; raises `NoAnswer`.

        `target` and `headers` go out byte for byte. With `cut` the whole length is announced, that many bytes of the
        body are sent, and the connection is closed; the answer then has the status 0.
        """
        request: dict[str, Any] = {
            "method": method,
            "target": target,
            "headers": [list(entry) for entry in headers],
            "body": base64.b64encode(body).decode(),
            "address": list(address),
            "server_name": HOST,
            "tls": tls,
            "cut": cut,
        }
        answer = self._send(request).result(ANSWER_SECONDS)
        if "failure" in answer:
            raise NoAnswer(answer["failure"])
        if "cut" in answer:
            return Answer(0, (), b"")
        listed = tuple((str(name), str(value)) for name, value in answer["headers"])
        return Answer(answer["status"], listed, base64.b64decode(answer["body"]))

    def _send(self, request: dict[str, Any]) -> Future[dict[str, Any]]:
        assert self._program.stdin is not None
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            self._sent += 1
            self._waiting[self._sent] = future
            self._program.stdin.write(json.dumps({**request, "id": self._sent}) + "\n")
            self._program.stdin.flush()
        return future

    def close(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(ANSWER_SECONDS)


@contextmanager
def open_wire() -> Iterator[Wire]:
    wire = Wire()
    try:
        yield wire
    finally:
        wire.close()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    """How a manifest names a blob or another manifest."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def image(*layers: bytes, config: bytes = EMPTY_CONFIG, **fields: Any) -> bytes:
    """A manifest over these layers; `fields` are its other fields (`subject`, `artifactType`, …)."""
    document = {
        "schemaVersion": 2,
        "mediaType": MEDIA_MANIFEST,
        "config": descriptor(MEDIA_CONFIG, config),
        "layers": [descriptor(MEDIA_LAYER, layer) for layer in layers],
        **fields,
    }
    return json.dumps(document).encode()


def index(*manifests: bytes) -> bytes:
    """An image index over these manifests."""
    entries = [descriptor(MEDIA_MANIFEST, manifest) for manifest in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": entries}).encode()


@dataclass(frozen=True)
class Session:
    """A person, or an anonymous client. `bearer` is the token sent; without one each call fetches a new one."""

    wire: Wire
    person: Person | None = None
    bearer: str = field(default="", repr=False)

    @property
    def basic(self) -> Headers:
        if self.person is None:
            return ()
        raw = f"{self.person.name}:{self.person.password}".encode()
        return (("Authorization", f"Basic {base64.b64encode(raw).decode()}"),)

    def token_answer(self, *scopes: str) -> Answer:
        query = "".join(f"&scope={scope}" for scope in scopes)
        return self.wire.ask("GET", f"/token?service={HOST}{query}", self.basic)

    def token(self, *scopes: str) -> str:
        return str(self.token_answer(*scopes).must(200).json["token"])

    def hold(self, repository: str, actions: str = "pull,push") -> Session:
        """This session with one token, which it keeps."""
        return replace(self, bearer=self.token(f"repository:{repository}:{actions}"))

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"", **how: Any) -> Answer:
        """One request with the token."""
        return self.wire.ask(method, target, (*headers, ("Authorization", f"Bearer {self.bearer}")), body, **how)

    def _holding(self, repository: str, actions: str) -> Session:
        return self if self.bearer else self.hold(repository, actions)

    def pull(self, repository: str, reference: str) -> Answer:
        """GET of a manifest."""
        session = self._holding(repository, "pull")
        accept = ("Accept", f"{MEDIA_MANIFEST}, {MEDIA_INDEX}")
        return session.ask("GET", f"/v2/{repository}/manifests/{reference}", (accept,))

    def blob(self, repository: str, digest: str) -> Answer:
        return self._holding(repository, "pull").ask("GET", f"/v2/{repository}/blobs/{digest}")

    def start_upload(self, repository: str) -> Answer:
        return self._holding(repository, "pull,push").ask("POST", f"/v2/{repository}/blobs/uploads/")

    def upload(self, repository: str, content: bytes) -> Answer:
        """POST and one PUT, as docker does; the answer of the step that ended it."""
        session = self._holding(repository, "pull,push")
        started = session.start_upload(repository)
        if started.status != 202:
            return started
        where = with_query(location(started), f"digest={digest_of(content)}")
        return session.ask("PUT", where, (("Content-Type", "application/octet-stream"),), content)

    def put(self, repository: str, reference: str, manifest: bytes) -> Answer:
        """PUT of a manifest, whose blobs are there."""
        media_type = str(json.loads(manifest).get("mediaType", MEDIA_MANIFEST))
        session = self._holding(repository, "pull,push")
        return session.ask("PUT", f"/v2/{repository}/manifests/{reference}", (("Content-Type", media_type),), manifest)

    def push(self, repository: str, tag: str, *layers: bytes, **fields: Any) -> Answer:
        """Blobs and manifest of an image; the answer of the step that ended it (201 when all went well)."""
        session = self._holding(repository, "pull,push")
        for content in (EMPTY_CONFIG, *layers):
            uploaded = session.upload(repository, content)
            if uploaded.status != 201:
                return uploaded
        return session.put(repository, tag, image(*layers, **fields))


def location(answer: Answer) -> str:
    """The request target that a Location header names."""
    where = answer.header("location")
    return where.removeprefix(f"https://{HOST}")


def with_query(target: str, query: str) -> str:
    return f"{target}{'&' if '?' in target else '?'}{query}"


def without_time(answer: Answer) -> tuple[int, Mapping[str, str], bytes]:
    """A response without the parts that always differ: date and request id."""
    kept = {name: value for name, value in answer.headers if name not in {"date", "x-request-id"}}
    return answer.status, kept, answer.body
