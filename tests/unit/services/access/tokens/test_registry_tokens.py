"""Signing keys: loaded, replaced, and trusted no further than they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from berth.authz.model import CredentialKind, Identity
from berth.oci.scope import MAX_SCOPES, MAX_SCOPES_LENGTH
from berth.services.access.tokens.claims import claims_of
from berth.services.access.tokens.registry_tokens import InvalidTokenError, TokenService
from tests.kit.access.world import AUTHORITY, LEAF, World, write_keys
from tests.kit.pki import Authority

ANN = Identity(CredentialKind.PASSWORD, "ann")
SECOND_LEAF = AUTHORITY.issue("berth token signing")


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where another replica finds its keys."""
    return tmp_path_factory.mktemp("replica")


def sign(world: World) -> str:
    return world.tokens.sign(claims_of(ANN, {}, [], []))[0]


def replica(world: World, directory: Path) -> TokenService:
    """Another replica of the service, with keys of its own directory."""
    return TokenService(directory=directory, lifetime=300, clock=lambda: world.time, token_id=lambda: "id")


def test_a_replaced_key_signs_and_the_one_before_is_still_verified(world: World) -> None:
    before = sign(world)
    write_keys(world.signing_dir, SECOND_LEAF)
    world.time += 10
    after = sign(world)
    assert before.split(".")[0] != after.split(".")[0]
    for token in (before, after):
        assert world.tokens.verify(token).identity == ANN


def test_without_an_authority_the_key_before_is_still_verified(world: World) -> None:
    (world.signing_dir / "ca.crt").unlink()
    before = sign(world)
    write_keys(world.signing_dir, SECOND_LEAF)
    (world.signing_dir / "ca.crt").unlink()
    world.time += 10
    assert sign(world).split(".")[0] != before.split(".")[0]
    assert world.tokens.verify(before).identity == ANN


def test_replicas_trust_each_others_leaves_of_one_authority(world: World, directory: Path) -> None:
    write_keys(directory, SECOND_LEAF)
    other = replica(world, directory)
    assert other.verify(sign(world)).identity == ANN


def test_without_an_authority_a_replica_trusts_its_own_leaf_alone(world: World, directory: Path) -> None:
    write_keys(directory, SECOND_LEAF)
    (directory / "ca.crt").unlink()
    other = replica(world, directory)
    own = other.sign(claims_of(ANN, {}, [], []))[0]
    assert other.verify(own).identity == ANN
    with pytest.raises(InvalidTokenError):
        other.verify(sign(world))


def test_a_bundle_of_authorities_trusts_the_leaves_of_each(world: World, directory: Path) -> None:
    successor = Authority.create("berth token CA 2")
    write_keys(directory, successor.issue("leaf"), successor)
    (directory / "ca.crt").write_bytes(successor.certificate_pem + AUTHORITY.certificate_pem)
    assert replica(world, directory).verify(sign(world)).identity == ANN


def test_files_that_do_not_fit_together_leave_the_present_key(world: World) -> None:
    before = sign(world)
    for broken in (b"", b"nonsense", SECOND_LEAF.key_pem):
        (world.signing_dir / "tls.key").write_bytes(broken)
        world.time += 10
        assert world.tokens.ready
        assert sign(world).split(".")[0] == before.split(".")[0]


def test_without_a_key_the_service_is_not_ready_and_signs_nothing(world: World, directory: Path) -> None:
    empty = replica(world, directory)
    assert not empty.ready
    with pytest.raises(RuntimeError):
        empty.sign(claims_of(ANN, {}, [], []))
    with pytest.raises(InvalidTokenError):
        empty.verify(sign(world))


def test_a_key_that_appears_is_found(world: World, directory: Path) -> None:
    late = replica(world, directory)
    assert not late.ready
    write_keys(directory, LEAF)
    assert late.ready


def test_a_verified_token_is_refused_when_it_expires(world: World) -> None:
    token = sign(world)
    world.tokens.verify(token)
    world.time += 299
    world.tokens.verify(token)
    world.time += 1
    with pytest.raises(InvalidTokenError) as refused:
        world.tokens.verify(token)
    assert "expired" in refused.value.sentence


@pytest.mark.parametrize("allowed", [("pull", "push"), ("pull",), ()], ids=["granted", "in part", "refused"])
def test_the_largest_token_fits_into_a_header_and_is_verified(world: World, allowed: tuple[str, ...]) -> None:
    length = MAX_SCOPES_LENGTH // MAX_SCOPES - len("repository::pull,push")
    names = [f"p{index:02}/r".ljust(length, "r") for index in range(MAX_SCOPES)]
    groups = frozenset(f"{index:04}".rjust(32, "g") for index in range(4096 // 32))
    identity = Identity(CredentialKind.OIDC, "a" * 253, groups=groups)
    granted = [{"type": "repository", "name": name, "actions": list(allowed)} for name in names if allowed]
    requested = dict.fromkeys(names, ("pull", "push"))
    projects = [name.partition("/")[0].ljust(50, "p") for name in names]
    token, _ = world.tokens.sign(claims_of(identity, requested, granted, projects if allowed else []))
    read = world.tokens.verify(token)
    assert read.requested == {name: {"pull", "push"} for name in names}
    assert read.granted == {name: set(allowed) for name in names if allowed}
    assert len(f"Authorization: Bearer {token}") < 16 * 1024  # one of nginx's large_client_header_buffers
