"""The protocols of a client. A further client is one class with these methods, and one line in the table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from e2e.suite.content import Content, Kind
from e2e.suite.world import COMMAND_SECONDS, HOST, Cluster, Person, Result

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
DEFAULT_TAG = "latest"
LOST_AT = "`{}` does not show the registry's sentence; the next pull or push shows it."
RETRIES = "`{}` retries for {} s before it reports too many failed logins."
NO_REQUEST = "`{}` sends no request and accepts any password; the next pull or push reports a wrong one."


@dataclass(frozen=True)
class Reference:
    """`HOST/path:tag`, `HOST/path@digest` or `HOST/path`, as a person types it."""

    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag}" if self.tag else self.name

    @property
    def name(self) -> str:
        return f"{HOST}/{self.path}"

    @property
    def full(self) -> str:
        """With the default tag when none is typed."""
        return str(self) if self.tag or self.digest else f"{self.name}:{DEFAULT_TAG}"

    def at(self, digest: str) -> Reference:
        return replace(self, tag="", digest=digest)


@dataclass(frozen=True)
class Outcome:
    """How a push or pull ended: what was said, and the digest of what moved (empty if the client did not say)."""

    result: Result
    digest: str = ""

    @property
    def said(self) -> str:
        return self.result.said

    def must(self) -> Outcome:
        """This outcome, or a failure that shows the command and its words."""
        self.result.must()
        assert self.digest, f"{' '.join(self.result.command)} printed no digest:\n{self.said}"
        return self


@dataclass(frozen=True)
class Seat:
    """A person at a terminal on the node, with a folder of their own for this one test."""

    cluster: Cluster
    person: Person
    folder: Path

    @property
    def anonymous(self) -> bool:
        return not self.person.password

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> Result:
        """Run a command with the person's logins."""
        return self.cluster.run(*command, env={**self.person.env, **(env or {})}, stdin=stdin, seconds=seconds)


class Ability(StrEnum):
    """Abilities of some clients, beside pushing (`Pusher`) and logging in (`Login`)."""

    PUSH_INDEX = "push an index"
    PULL_INDEX = "pull an index"
    DEFAULT_TAG = "default tag"


@dataclass(frozen=True)
class Refusals:
    """What a client prints when it is refused, around the sentence. `…` at the beginning: anything before it.

    Fields: {sentence}, {host}, {path} (project/repository), {name} (host and path), {version} (tag or digest),
    {ref} (the whole reference as it was typed), {full} (with the default tag when none was).
    """

    pull: str
    push: str = ""
    manifest: str = ""  # at the very end of a push, when all blobs are there
    login: str = ""  # empty for a login without a request; without {sentence} where the sentence is lost
    throttled: str = ""  # a login after too many that failed; as `login` is
    pull_by_digest: str = ""  # where it differs
    notes: tuple[str, ...] = ()  # what else a person should know, for the page

    def of_pull(self, reference: Reference) -> str:
        """What is printed of a refused pull of this reference."""
        return self.pull_by_digest if reference.digest and self.pull_by_digest else self.pull

    @staticmethod
    def fill(template: str, reference: Reference, sentence: str) -> str:
        return template.format(
            sentence=sentence,
            host=HOST,
            path=reference.path,
            name=reference.name,
            version=reference.tag or reference.digest,
            ref=reference,
            full=reference.full,
        )


class Client(Protocol):
    """One client. Every method types what a person would type."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind:
        """What it pushes and pulls, if not an index."""

    @property
    def abilities(self) -> frozenset[Ability]: ...

    @property
    def refusals(self) -> Refusals: ...

    @property
    def engine(self) -> str:
        """The e2e/cluster command that starts what it talks to; empty if nothing has to run."""

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        """Pulls everything that the reference names, and forgets it locally."""


@runtime_checkable
class Pusher(Client, Protocol):
    """A client that pushes too."""

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        """Pushes, and forgets the content locally, so that a pull after it fetches."""


@runtime_checkable
class Copier(Client, Protocol):
    """A client that copies from one repository to another of the same registry, and may ask it to mount the blobs."""

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        """Copies, and forgets the content locally."""


@runtime_checkable
class Login(Client, Protocol):
    """A client with a `login`, which need not ask the registry (`Refusals.login`)."""

    def login(self, seat: Seat, user: str, password: str) -> Result:
        """Logs in into a login file of this test's own."""


def last_digest(text: str) -> str:
    """The last digest in a text, or an empty string."""
    found = DIGEST.findall(text)
    return found[-1] if found else ""


def digest_after(label: str, text: str) -> str:
    """The digest that follows a label, or an empty string."""
    found = re.search(rf"{re.escape(label)}\s*({DIGEST.pattern})", text)
    return found[1] if found else ""
