"""The installation's keys: kept, completed, renewed, and changed without a gap."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.desired.installation import keys
from berth.desired.installation.authority import Authority, SuccessorRollout
from berth.desired.installation.manifests import (
    FoundMaterial,
    Material,
    complete_material,
    desired_installation,
    read_material,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
HOST = "images.example.org"
ROTATE_KEY, ROTATE_CA, FORGET = (
    "berth.dev/rotate-signing-key",
    "berth.dev/rotate-authority",
    "berth.dev/forget-authorities",
)
EVERYWHERE = SuccessorRollout(is_complete=True, overlap=timedelta(0))


def completed(found: FoundMaterial, now: datetime = NOW, host: str = HOST, *, tls: bool = True) -> Material:
    return complete_material(found, host, now, generate_tls=tls)


def found_again(material: Material) -> FoundMaterial:
    """The written material, read back."""
    return read_material(secrets_of(material))


def secrets_of(material: Material) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in written(material) if m["kind"] == "Secret"}


def standby_of(material: Material) -> keys.KeyPair:
    assert material.token_ca.successor is not None
    return material.token_ca.successor


def rotated(material: Material, now: datetime, value: str = "1") -> Material:
    """The material after the request of a new token authority that every registry trusts."""
    found = annotate(material, "berth-token-ca", ROTATE_CA, value)
    return complete_material(found, HOST, now, generate_tls=True, rollout=EVERYWHERE)


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


def test_an_authority_changes_without_a_moment_in_which_a_leaf_is_not_trusted(fresh: Material) -> None:
    """Walks fourteen years, two days at a time on average; registries learn of a bundle a step late."""
    material, now, known_bundle = fresh, NOW, fresh.token_ca.bundle
    authorities = [fresh.token_ca.current.certificate]
    for step in range(2700):
        now += timedelta(hours=36 if step % 2 else 60)
        material = completed(found_again(material), now, tls=False)
        trusted = [keys.KeyPair(pem, "") for pem in keys.split_bundle(known_bundle)]
        assert any(keys.is_issued_by(material.token_leaf.certificate, each) for each in trusted), now
        assert not keys.is_expired(material.token_leaf.certificate, now)
        if material.token_ca.current.certificate != authorities[-1]:
            authorities.append(material.token_ca.current.certificate)
        known_bundle = material.token_ca.bundle
    assert len(authorities) == 3


def test_a_successor_is_in_every_bundle_and_signs_nothing(fresh: Material) -> None:
    standby = standby_of(fresh)
    assert standby.certificate in fresh.token_ca.bundle
    assert standby.certificate in fresh.token_ca.token_authorities.bundle
    assert fresh.token_ca.token_authorities.required == {keys.fingerprint(fresh.token_ca.current.certificate)}
    assert not keys.is_issued_by(fresh.token_leaf.certificate, standby)
    months_later = completed(replace(found_again(fresh), token_leaf=None), NOW + timedelta(days=200))
    assert months_later.token_ca == fresh.token_ca
    assert keys.is_issued_by(months_later.token_leaf.certificate, fresh.token_ca.current)


def test_an_authority_of_an_earlier_version_gets_its_successor_and_nothing_else_changes(fresh: Material) -> None:
    """An earlier version wrote the authority without a successor."""
    before = replace(fresh, token_ca=Authority(fresh.token_ca.current))
    after = completed(found_again(before), SOON)
    assert standby_of(after) != standby_of(fresh)
    assert replace(after, token_ca=before.token_ca) == before


@pytest.mark.parametrize("damage", ["next.key", "next.crt"])
def test_an_unreadable_successor_is_replaced_and_stays_trusted_while_registries_have_it(
    fresh: Material, damage: str
) -> None:
    secrets = secrets_of(fresh)
    data = {**secrets["berth-token-ca"]["data"], damage: base64.b64encode(b"nonsense").decode()}
    secrets["berth-token-ca"] = {**secrets["berth-token-ca"], "data": data}
    after = completed(read_material(secrets), SOON)
    assert after.token_ca.current == fresh.token_ca.current
    assert standby_of(after) != standby_of(fresh)
    assert fresh.token_ca.token_authorities.trusted < after.token_ca.token_authorities.trusted


def test_the_successor_begins_to_sign_by_itself_when_the_authority_is_two_thirds_through_its_life(
    fresh: Material,
) -> None:
    early = completed(found_again(fresh), NOW + timedelta(days=2400))
    assert early.token_ca == fresh.token_ca
    due = NOW + timedelta(days=2500)
    waiting = completed(found_again(fresh), due)
    assert waiting.token_ca.current == fresh.token_ca.current
    assert waiting.token_ca.due_since == due
    assert completed(found_again(waiting), due + timedelta(hours=23)).token_ca == waiting.token_ca
    changed = complete_material(found_again(waiting), HOST, due, generate_tls=False, rollout=EVERYWHERE)
    assert changed.token_ca.current == standby_of(fresh)
    assert changed.token_ca.due_since is None


def test_a_promoted_standby_successor_is_not_due_for_renewal(fresh: Material) -> None:
    """It is as old as its predecessor, which was replaced after two thirds of its life."""
    due = NOW + timedelta(days=2500)
    changed = complete_material(found_again(fresh), HOST, due, generate_tls=False, rollout=EVERYWHERE)
    assert changed.token_ca.current == standby_of(fresh)
    later = due + timedelta(days=2300)
    again = complete_material(found_again(changed), HOST, later, generate_tls=False, rollout=EVERYWHERE)
    assert again.token_ca.current == changed.token_ca.current


def test_an_authority_that_expired_during_an_outage_is_replaced_by_its_trusted_successor(
    fresh: Material,
) -> None:
    changed = completed(found_again(fresh), NOW + timedelta(days=3651))
    assert changed.token_ca.current == standby_of(fresh)
    assert keys.is_issued_by(changed.token_leaf.certificate, standby_of(fresh))


def test_a_former_authority_is_trusted_until_it_ends(fresh: Material) -> None:
    changed = rotated(fresh, NOW)
    assert fresh.token_ca.current.certificate in changed.token_ca.bundle
    assert fresh.token_ca.current.certificate in completed(found_again(changed), SOON).token_ca.bundle
    after_its_end = completed(found_again(changed), NOW + timedelta(days=3651))
    assert fresh.token_ca.current.certificate not in after_its_end.token_ca.bundle


def annotate(material: Material, secret: str, annotation: str, value: str) -> FoundMaterial:
    """The written material with an annotation on one of its Secrets."""
    secrets = secrets_of(material)
    metadata = secrets[secret]["metadata"]
    annotations = {**metadata.get("annotations", {}), annotation: value}
    secrets[secret] = {**secrets[secret], "metadata": {**metadata, "annotations": annotations}}
    return read_material(secrets)


def test_a_new_value_makes_a_new_signing_key_once(fresh: Material) -> None:
    again = completed(annotate(fresh, "berth-token-signing", ROTATE_KEY, "1"), SOON)
    assert again.token_leaf != fresh.token_leaf
    assert again.token_ca == fresh.token_ca
    assert again.tls_leaf == fresh.tls_leaf
    same = completed(annotate(again, "berth-token-signing", ROTATE_KEY, "1"), SOON)
    assert same.token_leaf == again.token_leaf
    assert written(same) == written(again)
    assert completed(found_again(again), SOON).token_leaf == again.token_leaf, "the annotation was taken away"
    assert completed(annotate(again, "berth-token-signing", ROTATE_KEY, "2"), SOON).token_leaf != again.token_leaf


def waiting(fresh: Material) -> Material:
    """A new authority is requested, and not every registry trusts it yet."""
    return completed(annotate(fresh, "berth-token-ca", ROTATE_CA, "1"), NOW)


def test_a_requested_authority_signs_at_once_where_it_is_trusted_and_another_one_is_on_standby(
    fresh: Material,
) -> None:
    changed = rotated(fresh, SOON)
    assert changed.token_ca.current == standby_of(fresh)
    assert keys.is_issued_by(changed.token_leaf.certificate, standby_of(fresh))
    assert standby_of(changed) not in (standby_of(fresh), fresh.token_ca.current)
    assert standby_of(changed).certificate in changed.token_ca.bundle
    assert fresh.token_ca.token_authorities.trusted < changed.token_ca.token_authorities.trusted
    assert changed.token_ca.token_authorities.required < fresh.token_ca.token_authorities.trusted, (
        "no registry has to restart"
    )
    assert changed.token_ca.due_since is None


def test_one_request_is_done_once(fresh: Material) -> None:
    changed = rotated(fresh, SOON)
    assert rotated(changed, SOON).token_ca == changed.token_ca
    assert written(rotated(changed, SOON)) == written(changed)
    assert found_again(changed).token_ca == changed.token_ca, "the annotation was taken away"
    assert rotated(changed, SOON, "2").token_ca.current == standby_of(changed)


def test_a_requested_authority_waits_until_it_is_trusted_and_registries_require_it_meanwhile(
    fresh: Material,
) -> None:
    pending = waiting(fresh)
    assert pending.token_ca == replace(fresh.token_ca, due_since=NOW)
    assert pending.token_leaf == fresh.token_leaf
    assert pending.requests["berth-token-ca"].is_pending(ROTATE_CA), "it is done when it signs"
    assert found_again(pending).token_ca == pending.token_ca
    present, before = pending.token_ca.token_authorities, fresh.token_ca.token_authorities
    assert present == replace(before, required=before.trusted)
    again = completed(annotate(pending, "berth-token-ca", ROTATE_CA, "1"), SOON)
    assert written(again) == written(completed(found_again(pending), NOW))


@pytest.mark.parametrize(
    ("rollout", "after", "signs"),
    [
        (SuccessorRollout(is_complete=False, overlap=timedelta(minutes=5)), timedelta(hours=1), False),
        (SuccessorRollout(is_complete=True, overlap=timedelta(minutes=5)), timedelta(minutes=4), False),
        (SuccessorRollout(is_complete=True, overlap=timedelta(minutes=5)), timedelta(minutes=5), True),
        (SuccessorRollout(is_complete=False, overlap=timedelta(minutes=5)), timedelta(hours=23), False),
        (SuccessorRollout(is_complete=False, overlap=timedelta(minutes=5)), timedelta(days=1), True),
    ],
)
def test_it_signs_when_every_registry_trusts_it_and_replicas_had_time_or_after_a_day(
    fresh: Material, rollout: SuccessorRollout, after: timedelta, signs: bool
) -> None:
    found = annotate(waiting(fresh), "berth-token-ca", ROTATE_CA, "1")
    later = complete_material(found, HOST, NOW + after, generate_tls=True, rollout=rollout)
    assert (later.token_ca.current == standby_of(fresh)) is signs
    assert keys.is_issued_by(later.token_leaf.certificate, later.token_ca.current)
    assert fresh.token_ca.current.certificate in later.token_ca.bundle
    assert (later.token_ca.due_since is None) is signs
    assert later.requests["berth-token-ca"].is_pending(ROTATE_CA) is not signs


def test_the_day_begins_with_the_request_and_not_with_the_creation_of_the_successor(fresh: Material) -> None:
    month = NOW + timedelta(days=30)
    found = annotate(fresh, "berth-token-ca", ROTATE_CA, "1")
    pending = completed(found, month)
    assert pending.token_ca.current == fresh.token_ca.current
    assert pending.token_ca.due_since == month


def test_the_day_begins_anew_when_the_successor_had_to_be_replaced(fresh: Material) -> None:
    found = annotate(waiting(fresh), "berth-token-ca", ROTATE_CA, "1")
    secrets = secrets_of(waiting(fresh))
    del secrets["berth-token-ca"]["data"]["next.key"]
    lost = replace(read_material(secrets), requests=found.requests)
    later = completed(lost, NOW + timedelta(days=2))
    assert later.token_ca.current == fresh.token_ca.current
    assert later.token_ca.due_since == NOW + timedelta(days=2)
    assert standby_of(later) != standby_of(fresh)


def test_former_authorities_are_removed_on_request_and_the_successor_is_not(fresh: Material) -> None:
    changed = rotated(fresh, SOON)
    forgotten = completed(annotate(changed, "berth-token-ca", FORGET, "1"), SOON)
    assert forgotten.token_ca == replace(changed.token_ca, retired=())
    assert forgotten.token_leaf == changed.token_leaf
    assert fresh.token_ca.current.certificate not in forgotten.token_ca.token_authorities.bundle


def test_nothing_is_forgotten_while_a_successor_is_about_to_sign(fresh: Material) -> None:
    pending = completed(annotate(rotated(fresh, NOW), "berth-token-ca", ROTATE_CA, "2"), NOW)
    later = completed(annotate(pending, "berth-token-ca", FORGET, "1"), SOON)
    assert later.token_ca == pending.token_ca
    assert later.requests["berth-token-ca"].is_pending(FORGET)


def test_the_authority_of_the_gateway_is_announced_for_a_day(fresh: Material) -> None:
    announced = completed(annotate(fresh, "berth-tls-ca", ROTATE_CA, "1"), NOW)
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
