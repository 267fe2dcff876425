"""The installation's keys: kept, completed, renewed, and changed without a gap."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.desired import keys
from berth.desired.installation import (
    FoundMaterial,
    Material,
    Reach,
    complete_material,
    desired_installation,
    read_material,
    waits_for_reach,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOST = "images.example.org"


def completed(found: FoundMaterial, now: datetime = NOW, host: str = HOST, *, tls: bool = True) -> Material:
    return complete_material(found, host, now, generate_tls=tls)


def found_again(material: Material) -> FoundMaterial:
    """What a later operator reads of what this one wrote."""
    return read_material({m["metadata"]["name"]: m for m in written(material) if m["kind"] == "Secret"})


def written(material: Material) -> tuple[dict[str, Any], ...]:
    return desired_installation(material, "berth-system", "berth", "0.1.0")


@pytest.fixture(scope="module")
def fresh() -> Material:
    return completed(FoundMaterial())


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
    assert set(made["Secret", "berth-token-ca"]["data"]) == {"ca.crt", "ca.key"}
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
    secrets = {m["metadata"]["name"]: m for m in written(fresh) if m["kind"] == "Secret"}
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
    secrets = {m["metadata"]["name"]: m for m in written(fresh) if m["kind"] == "Secret"}
    secrets["berth-install"] = {"data": {"seed": base64.b64encode(b"short").decode()}}
    assert len(completed(read_material(secrets)).seed) == 32


def test_an_authority_changes_without_a_moment_in_which_a_leaf_is_not_trusted(fresh: Material) -> None:
    """Walks fourteen years, two days at a time on average; registries learn of a bundle a step late."""
    material, now, known_bundle = fresh, NOW, fresh.token_ca.bundle
    authorities = {fresh.token_ca.current.certificate}
    for step in range(2700):
        now += timedelta(hours=36 if step % 2 else 60)
        material = completed(found_again(material), now, tls=False)
        trusted = [keys.KeyPair(pem, "") for pem in keys.split_bundle(known_bundle)]
        assert any(keys.is_issued_by(material.token_leaf.certificate, each) for each in trusted), now
        assert not keys.expired(material.token_leaf.certificate, now)
        authorities.add(material.token_ca.current.certificate)
        known_bundle = material.token_ca.bundle
    assert len(authorities) == 3


def test_nothing_is_signed_by_an_authority_that_nobody_had_time_to_learn_of(fresh: Material) -> None:
    due = NOW + timedelta(days=2500)
    announced = completed(found_again(fresh), due)
    assert announced.token_leaf != fresh.token_leaf
    assert announced.token_ca.current == fresh.token_ca.current
    assert announced.token_ca.successor is not None
    assert announced.token_ca.successor.certificate in announced.token_ca.bundle
    hours_later = completed(replace(found_again(announced), token_leaf=None), due + timedelta(hours=23))
    assert keys.is_issued_by(hours_later.token_leaf.certificate, fresh.token_ca.current)


def test_a_former_authority_is_trusted_until_it_ends(fresh: Material) -> None:
    announced = completed(found_again(fresh), NOW + timedelta(days=2500))
    changed = completed(replace(found_again(announced), token_leaf=None), NOW + timedelta(days=2502))
    assert changed.token_ca.current == announced.token_ca.successor
    assert keys.is_issued_by(changed.token_leaf.certificate, changed.token_ca.current)
    assert fresh.token_ca.current.certificate in changed.token_ca.bundle
    after_its_end = completed(found_again(changed), NOW + timedelta(days=3651))
    assert fresh.token_ca.current.certificate not in after_its_end.token_ca.bundle


def asked(material: Material, secret: str, annotation: str, value: str) -> FoundMaterial:
    """What a later operator reads when somebody has annotated a Secret meanwhile."""
    secrets = {m["metadata"]["name"]: m for m in written(material) if m["kind"] == "Secret"}
    metadata = secrets[secret]["metadata"]
    annotations = {**metadata.get("annotations", {}), annotation: value}
    secrets[secret] = {**secrets[secret], "metadata": {**metadata, "annotations": annotations}}
    return read_material(secrets)


SOON = NOW + timedelta(minutes=1)
ROTATE_KEY, ROTATE_CA = "berth.dev/rotate-signing-key", "berth.dev/rotate-authority"


def test_a_new_value_makes_a_new_signing_key_once(fresh: Material) -> None:
    again = completed(asked(fresh, "berth-token-signing", ROTATE_KEY, "1"), SOON)
    assert again.token_leaf != fresh.token_leaf
    assert again.token_ca == fresh.token_ca
    assert again.tls_leaf == fresh.tls_leaf
    same = completed(asked(again, "berth-token-signing", ROTATE_KEY, "1"), SOON)
    assert same.token_leaf == again.token_leaf
    assert written(same) == written(again)
    assert completed(found_again(again), SOON).token_leaf == again.token_leaf, "the annotation was taken away"
    assert completed(asked(again, "berth-token-signing", ROTATE_KEY, "2"), SOON).token_leaf != again.token_leaf


def announced_on_demand(fresh: Material) -> Material:
    return completed(asked(fresh, "berth-token-ca", ROTATE_CA, "1"), NOW)


def test_an_authority_that_is_asked_for_is_announced_before_it_signs(fresh: Material) -> None:
    announced = announced_on_demand(fresh)
    assert announced.token_ca.successor is not None
    assert announced.token_ca.current == fresh.token_ca.current
    assert announced.token_leaf == fresh.token_leaf
    assert announced.token_ca.successor.certificate in announced.token_ca.trusted
    repeated = completed(asked(announced, "berth-token-ca", ROTATE_CA, "1"), SOON)
    assert repeated.token_ca == announced.token_ca


@pytest.mark.parametrize(
    ("reach", "after", "signs"),
    [
        (Reach(everywhere=False, overlap=timedelta(minutes=5)), timedelta(hours=1), False),
        (Reach(everywhere=True, overlap=timedelta(minutes=5)), timedelta(minutes=4), False),
        (Reach(everywhere=True, overlap=timedelta(minutes=5)), timedelta(minutes=5), True),
        (Reach(everywhere=False, overlap=timedelta(minutes=5)), timedelta(days=1), True),
    ],
)
def test_it_signs_when_every_registry_trusts_it_and_replicas_had_time_or_after_a_day(
    fresh: Material, reach: Reach, after: timedelta, signs: bool
) -> None:
    announced = announced_on_demand(fresh)
    later = complete_material(found_again(announced), HOST, NOW + after, generate_tls=True, reach=reach)
    assert (later.token_ca.current == announced.token_ca.successor) is signs
    assert keys.is_issued_by(later.token_leaf.certificate, later.token_ca.current)
    assert fresh.token_ca.current.certificate in later.token_ca.trusted
    assert waits_for_reach(later.token_ca, NOW + after) is not signs


def test_registries_see_no_change_when_the_announced_authority_begins_to_sign(fresh: Material) -> None:
    announced = announced_on_demand(fresh)
    changed = complete_material(
        found_again(announced), HOST, SOON, generate_tls=True, reach=Reach(True, timedelta(seconds=1))
    )
    assert changed.token_ca.current != announced.token_ca.current
    assert changed.token_ca.trusted == announced.token_ca.trusted


def test_a_former_authority_is_forgotten_when_somebody_asks_for_it(fresh: Material) -> None:
    changed = complete_material(
        found_again(announced_on_demand(fresh)), HOST, SOON, generate_tls=True, reach=Reach(True, timedelta(0))
    )
    found = asked(changed, "berth-token-ca", "berth.dev/forget-authorities", "1")
    forgotten = completed(found, SOON)
    assert forgotten.token_ca.retired == ()
    assert forgotten.token_ca.current == changed.token_ca.current
    assert forgotten.token_leaf == changed.token_leaf


def test_the_authority_of_the_gateway_is_announced_for_a_day(fresh: Material) -> None:
    announced = completed(asked(fresh, "berth-tls-ca", ROTATE_CA, "1"), NOW)
    assert announced.tls_ca is not None
    assert announced.tls_ca.successor is not None
    (public,) = [m for m in written(announced) if m["kind"] == "ConfigMap"]
    assert announced.tls_ca.successor.certificate in public["data"]["ca.crt"]
    assert completed(found_again(announced), NOW + timedelta(hours=23)).tls_leaf == fresh.tls_leaf
    changed = completed(found_again(announced), NOW + timedelta(hours=25))
    assert changed.tls_ca is not None
    assert changed.tls_leaf is not None
    assert changed.tls_ca.current == announced.tls_ca.successor
    assert keys.is_issued_by(changed.tls_leaf.certificate, changed.tls_ca.current)
