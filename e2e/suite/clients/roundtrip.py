"""Log in, push and pull with a client: the use of each kind of credential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from e2e.suite.clients import CLIENTS
from e2e.suite.clients.client import Client, Login, Pusher, Reference, Seat
from e2e.suite.clients.refusal import with_password
from e2e.suite.clients.stage import Engines
from e2e.suite.content import Kind, make
from e2e.suite.world import Cluster, Person

FEW: Final[Sequence[Client]] = tuple(client for client in CLIENTS if client.name in ("docker", "crane"))
"""One client that asks for its token by OAuth2 and one that asks with a GET."""


def log_in_push_and_pull(cluster: Cluster, running: Engines, holder: Person, project: str) -> None:
    """Each of the few clients pushes to a repository `by-CLIENT` with this login, and pulls the same again."""
    with_password(holder, holder.password, holder.home)
    for client in FEW:
        assert isinstance(client, Login)
        assert isinstance(client, Pusher)
        running.need(client.engine)
        seat = Seat(cluster, holder, holder.home / client.name)
        seat.folder.mkdir()
        client.login(seat, holder.name, holder.password).must()
        reference = Reference(f"{project}/by-{client.name}", "v1")
        pushed = client.push(seat, make(Kind.IMAGE, seat.folder / "content", "x", "1"), reference).must()
        assert client.pull(seat, reference).must().digest == pushed.digest
