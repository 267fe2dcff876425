"""AccessToken objects: made with a new secret, listed, deleted."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from berth.api.base import rfc3339
from berth.api.names import API_VERSION
from berth.api.quantities import parse_duration
from berth.api.schema import DNS_SUBDOMAIN_PATTERN
from berth.api.subjects import well_named
from berth.api.token import AccessToken, TokenOwnerKind
from berth.api.user import RegistryUser, UserType
from berth.authz.token_format import RANDOM_BYTES, make_token, token_sha256
from berth.cli.kubectl.cluster import FIELD_MANAGER, connect
from berth.cli.kubectl.options import Connection
from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, ForbiddenError, KubeError
from berth.kube.resources import ACCESS_TOKENS, REGISTRY_USERS, Manifest

HEADER: Final = ("NAME", "OWNER", "SCOPES", "EXPIRES", "LAST USED", "DESCRIPTION")


@dataclass(frozen=True, slots=True)
class Made:
    """A new token: the object and its secret, which is stored nowhere else."""

    manifest: Manifest
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Created:
    """The created object, and notes for the user."""

    manifest: Manifest
    notes: tuple[str, ...]


def make(
    name: str,
    owner: str,
    scopes: Sequence[str],
    expires_in: str = "",
    description: str = "",
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Made:
    """Make a token with a new secret. Raises ValueError, with one sentence, for invalid input."""
    if re.fullmatch(DNS_SUBDOMAIN_PATTERN, name) is None:
        raise ValueError(f"{name!r} cannot be the name of an object: use lower-case letters, digits, hyphens and dots")
    secret = make_token(random(RANDOM_BYTES))
    kind, owner_name = _owner(owner)
    spec: dict[str, Any] = {
        "owner": {"kind": kind.value, "name": owner_name},
        "scopes": list(dict.fromkeys(scopes)),
        "sha256": token_sha256(secret),
    }
    if expires_in:
        spec["expiresAt"] = rfc3339(now() + _positive(expires_in))
    if description:
        spec["description"] = description
    manifest = {"apiVersion": API_VERSION, "kind": "AccessToken", "metadata": {"name": name}, "spec": spec}
    try:
        AccessToken.model_validate(manifest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"the AccessToken {name} would not be valid: {place}: {first['msg']}") from None
    return Made(manifest, secret)


def keep_secret(made: Made, file: Path) -> None:
    """Write the secret to a new file that only its owner may read. Raises ValueError, with one sentence."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(f"{made.secret}\n")
    except OSError as error:
        raise ValueError(f"the secret cannot be written to {file}: {error.strerror}; name another file") from None


async def create(made: Made, connection: Connection) -> Created:
    """Create the object. Raises KubeError when the name is taken or no owner of that type could log in with it."""
    name = made.manifest["metadata"]["name"]
    async with connect(connection.kubeconfig, connection.context) as client:
        notes = await _check_owner(made.manifest["spec"]["owner"], client)
        try:
            created = await client.create(ACCESS_TOKENS, made.manifest, field_manager=FIELD_MANAGER)
        except ConflictError as taken:
            raise ConflictError(
                f"There is an AccessToken {name} already; choose another name, or revoke that one first.",
                status=taken.status,
            ) from taken
    return Created(_plain(created), notes)


async def _check_owner(owner: dict[str, str], client: KubeClient) -> tuple[str, ...]:
    name = owner["name"]
    try:
        found = await client.get(REGISTRY_USERS, name)
    except ForbiddenError as forbidden:
        if forbidden.status == 401:
            raise
        return ()
    if found is None:
        return (f"there is no RegistryUser {name} yet; the token is valid as soon as it exists.",)
    robot = RegistryUser.model_validate(found).spec.type is UserType.ROBOT
    if robot != (owner["kind"] == TokenOwnerKind.ROBOT):
        written = f"robot:{name}" if robot else name
        raise KubeError(f"The RegistryUser {name} is a {'Robot' if robot else 'Person'}; write --owner {written}.")
    return ()


async def listed(owner: str, connection: Connection) -> list[Manifest]:
    """All tokens, or those of one RegistryUser, by name."""
    _, name = _owner(owner) if owner else (None, "")
    async with connect(connection.kubeconfig, connection.context) as client:
        found = await client.list(ACCESS_TOKENS)
    mine = (_plain(each) for each in found if not name or each["spec"]["owner"]["name"] == name)
    return sorted(mine, key=lambda each: str(each["metadata"]["name"]))


async def revoke(names: Sequence[str], connection: Connection) -> list[tuple[str, bool]]:
    """Delete the objects. Returns for each name whether it existed."""
    async with connect(connection.kubeconfig, connection.context) as client:
        return [(name, await client.delete(ACCESS_TOKENS, name)) for name in names]


def row(manifest: Manifest) -> tuple[str, ...]:
    """One line of the table."""
    token = AccessToken.model_validate(manifest)
    spec, used = token.spec, token.status.last_used
    return (
        token.metadata.name,
        f"{spec.owner.kind.value} {spec.owner.name}",
        ",".join(spec.scopes),
        rfc3339(spec.expires_at) if spec.expires_at else "never",
        rfc3339(used) if used else "-",
        spec.description or "-",
    )


def _owner(text: str) -> tuple[TokenOwnerKind, str]:
    """The kind and name of an owner. Raises ValueError, with one sentence."""
    prefix, colon, name = text.rpartition(":")
    kind = {"robot": TokenOwnerKind.ROBOT, "user": TokenOwnerKind.USER, "": TokenOwnerKind.USER}.get(prefix.lower())
    if kind is None or (colon and not prefix) or not well_named(kind.value, name):
        raise ValueError(f"{text!r} is not an owner: write the name of a RegistryUser, or robot:NAME")
    return kind, name


def _positive(text: str) -> timedelta:
    duration = parse_duration(text)
    if duration <= timedelta(0):
        raise ValueError(f"the duration {text} is not above zero: write for example 720h")
    return duration


def _plain(manifest: Manifest) -> Manifest:
    """The object without `managedFields`, which kubectl does not show either."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}
