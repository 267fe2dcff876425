"""The installation's keys: read, completed and written."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from berth.desired.installation import keys
from berth.desired.installation.manifests import FoundMaterial, Material, read_material
from tests.kit.desired.material import (
    HOST,
    NOW,
    completed,
    found_again,
    secrets_of,
    written,
)


def test_an_empty_cluster_gets_everything(fresh: Material) -> None:
    made = {(m["kind"], m["metadata"]["name"]): m for m in written(fresh)}
    assert set(made) == {
        ("Secret", "berth-install"),
        ("Secret", "berth-token-ca"),
        ("Secret", "berth-token-signing"),
        ("Secret", "berth-tls-ca"),
        ("Secret", "berth-gateway-tls"),
        ("ConfigMap", "berth-ca"),
    }
    assert set(made["Secret", "berth-token-ca"]["data"]) == {"ca.crt", "ca.key", "next.crt", "next.key"}
    assert set(made["Secret", "berth-tls-ca"]["data"]) == {"ca.crt", "ca.key"}
    signing = made["Secret", "berth-token-signing"]["data"]
    assert set(signing) == {"tls.crt", "tls.key", "ca.crt"}
    assert signing["ca.crt"] == made["Secret", "berth-token-ca"]["data"]["ca.crt"]
    assert len(base64.b64decode(made["Secret", "berth-install"]["data"]["seed"])) == 32


def test_the_leaves_are_signed_by_their_authorities(fresh: Material) -> None:
    assert keys.is_issued_by(fresh.token_leaf.certificate, fresh.token_ca.current)
    assert fresh.tls_ca is not None
    assert fresh.tls_leaf is not None
    assert keys.is_issued_by(fresh.tls_leaf.certificate, fresh.tls_ca.current)
    assert keys.covers_host(fresh.tls_leaf.certificate, HOST)


def test_what_is_good_is_kept_to_the_byte(fresh: Material) -> None:
    again = completed(found_again(fresh), NOW + timedelta(days=30))
    assert again == fresh
    assert written(again) == written(fresh)


def test_a_certificate_from_elsewhere_is_left_alone() -> None:
    made = {m["metadata"]["name"] for m in written(completed(FoundMaterial(), tls=False))}
    assert made == {"berth-install", "berth-token-ca", "berth-token-signing"}


def test_the_config_map_for_clients_holds_no_key(fresh: Material) -> None:
    (public,) = [m for m in written(fresh) if m["kind"] == "ConfigMap"]
    assert "PRIVATE" not in str(public)


def test_no_repr_shows_key_material(fresh: Material) -> None:
    shown = repr(fresh) + repr(found_again(fresh))
    assert "PRIVATE" not in shown
    assert repr(fresh.seed) not in shown


def test_leaves_are_renewed_and_authorities_stay(fresh: Material) -> None:
    again = completed(found_again(fresh), NOW + timedelta(days=61))
    assert again.token_ca == fresh.token_ca
    assert again.token_leaf != fresh.token_leaf
    assert again.tls_leaf != fresh.tls_leaf
    assert again.seed == fresh.seed


def test_another_host_gets_another_certificate_from_the_same_authority(fresh: Material) -> None:
    again = completed(found_again(fresh), host="other.example.org")
    assert again.tls_ca == fresh.tls_ca
    assert again.tls_leaf is not None
    assert keys.covers_host(again.tls_leaf.certificate, "other.example.org")


@pytest.mark.parametrize("damage", ["", "not base64 !", base64.b64encode(b"nonsense").decode()])
def test_a_damaged_key_is_replaced_and_the_rest_kept(fresh: Material, damage: str) -> None:
    secrets = secrets_of(fresh)
    signing = secrets["berth-token-signing"]
    secrets["berth-token-signing"] = {**signing, "data": {**signing["data"], "tls.key": damage}}
    again = completed(read_material(secrets))
    assert keys.is_usable(again.token_leaf)
    assert again.token_ca == fresh.token_ca
    assert again.tls_leaf == fresh.tls_leaf


def test_a_lost_authority_takes_its_leaves_with_it(fresh: Material) -> None:
    again = completed(replace(found_again(fresh), token_ca=None))
    assert keys.is_issued_by(again.token_leaf.certificate, again.token_ca.current)


def test_a_short_seed_counts_as_none(fresh: Material) -> None:
    secrets = secrets_of(fresh)
    secrets["berth-install"] = {"data": {"seed": base64.b64encode(b"short").decode()}}
    assert len(completed(read_material(secrets)).seed) == 32


@pytest.mark.parametrize(
    ("since", "due_since"), [("2026-11-24T12:00:00", None), ("nonsense", None), ("2026-11-24T12:00:00+00:00", NOW)]
)
def test_only_an_aware_time_makes_a_successor_due(fresh: Material, since: str, due_since: datetime | None) -> None:
    secrets = secrets_of(fresh)
    data = {**secrets["berth-token-ca"]["data"], "next.since": base64.b64encode(since.encode()).decode()}
    read = read_material({**secrets, "berth-token-ca": {"data": data}})
    assert read.token_ca == replace(fresh.token_ca, due_since=due_since)


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
def test_half_a_leaf_is_none(fresh: Material, missing: str) -> None:
    secrets = secrets_of(fresh)
    data = {name: value for name, value in secrets["berth-token-signing"]["data"].items() if name != missing}
    assert read_material({**secrets, "berth-token-signing": {"data": data}}).token_leaf is None
