"""Authorities and leaves: renewed by time and on request, without a gap in trust."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from berth.desired.installation import keys
from berth.desired.installation.authority import Authority, RotationRequests, SuccessorRollout
from berth.desired.installation.manifests import Material, complete_material, read_material
from tests.kit.desired.material import (
    EVERYWHERE,
    FORGET,
    HOST,
    NOW,
    ROTATE_CA,
    ROTATE_KEY,
    SOON,
    annotate,
    completed,
    found_again,
    rotated,
    secrets_of,
    standby_of,
    written,
)


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


def test_an_empty_value_requests_nothing_and_a_done_one_nothing_more(fresh: Material) -> None:
    assert not RotationRequests()
    assert RotationRequests(requested={ROTATE_KEY: "1"})
    assert RotationRequests(done={ROTATE_KEY: "1"})
    assert not RotationRequests(requested={ROTATE_KEY: ""}).is_pending(ROTATE_KEY)
    assert not RotationRequests(requested={ROTATE_KEY: "1"}, done={ROTATE_KEY: "1"}).is_pending(ROTATE_KEY)
    assert all("annotations" not in manifest["metadata"] for manifest in written(fresh))


def test_expired_authorities_and_successors_are_replaced(fresh: Material) -> None:
    late = NOW + timedelta(days=7400)
    material = completed(found_again(fresh), late)
    assert material.tls_ca is not None
    assert material.tls_leaf is not None
    for authority, leaf in ((material.token_ca, material.token_leaf), (material.tls_ca, material.tls_leaf)):
        assert not keys.is_expired(authority.current.certificate, late)
        assert keys.is_issued_by(leaf.certificate, authority.current)
    assert not keys.is_expired(standby_of(material).certificate, late)


def test_a_requested_authority_of_the_gateway_signs_after_exactly_a_day(fresh: Material) -> None:
    announced = completed(annotate(fresh, "berth-tls-ca", ROTATE_CA, "1"), NOW)
    assert announced.tls_ca is not None
    changed = completed(found_again(announced), NOW + timedelta(days=1))
    assert changed.tls_ca is not None
    assert changed.tls_ca.current == announced.tls_ca.successor


def test_an_old_authority_of_the_gateway_is_replaced_at_the_next_renewal_of_the_leaf(fresh: Material) -> None:
    due = NOW + timedelta(days=2500)
    announced = completed(found_again(fresh), due)
    assert announced.tls_ca is not None
    assert fresh.tls_ca is not None
    assert announced.tls_ca.current == fresh.tls_ca.current
    waiting_for_leaf = completed(found_again(announced), due + timedelta(days=2))
    assert waiting_for_leaf.tls_ca == announced.tls_ca
    assert waiting_for_leaf.tls_leaf == announced.tls_leaf
    changed = completed(found_again(announced), due + timedelta(days=61))
    assert changed.tls_ca is not None
    assert changed.tls_ca.current == announced.tls_ca.successor
    assert changed.tls_ca.retired == (fresh.tls_ca.current.certificate,)
