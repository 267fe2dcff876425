"""Users, teams, tokens and certifications: the status, and when it changes by time alone."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from berth.api.base import rfc3339
from berth.kube.resources import ACCESS_TOKENS, CERTIFICATIONS, REGISTRY_TEAMS, REGISTRY_USERS, SECRETS, Manifest
from berth.reconcile.outcome import STALLED_RESYNC_SECONDS
from tests.kit.operator.memory import NOW, Operator, manifest, user

HASH = base64.b64encode(b"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA").decode()


def at(seconds: float) -> str:
    """A time so many seconds after the start, as an object has it."""
    return rfc3339(NOW + timedelta(seconds=seconds))


def certification(name: str = "c", kind: str = "User", subject: str = "ann", until: float | None = None) -> Manifest:
    """A Certification, and the seconds after which it ends."""
    spec: dict[str, Any] = {
        "subject": {"kind": kind, "name": subject},
        "certifiedBy": "office@example.org",
        "evidence": "https://example.org/1",
    }
    end: dict[str, Any] = {"validUntil": at(until)} if until is not None else {}
    return manifest(CERTIFICATIONS, name, **spec, **end)


def token(name: str = "t", sha256: str = "a" * 64, until: float | None = None) -> Manifest:
    """An AccessToken of ann, and the seconds after which it ends."""
    owner = {"kind": "User", "name": "ann"}
    end: dict[str, Any] = {"expiresAt": at(until)} if until is not None else {}
    return manifest(ACCESS_TOKENS, name, owner=owner, scopes=["download"], sha256=sha256, **end)


class TestUsers:
    """The status of a RegistryUser."""

    async def test_a_user_is_ready_and_written_once(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        assert await operator.reconcile(REGISTRY_USERS, "ann") is None
        assert await operator.reconcile(REGISTRY_USERS, "ann") is None
        assert len(operator.api.writes) == 1
        assert operator.condition(REGISTRY_USERS, "ann", "Ready")[0] == "True"

    async def test_the_next_end_of_a_certification_is_the_next_reconcile(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(certification("one", until=-10))
        operator.put(certification("two", until=90))
        operator.put(certification("three", until=50))
        assert await operator.reconcile(REGISTRY_USERS, "ann") == pytest.approx(50)
        assert operator.condition(REGISTRY_USERS, "ann", "Certified")[0] == "True"
        operator.pass_time(100)
        assert await operator.reconcile(REGISTRY_USERS, "ann") is None
        assert operator.condition(REGISTRY_USERS, "ann", "Certified") == ("False", "CertificationExpired")

    @pytest.mark.parametrize(("kind", "certified"), [("User", "True"), ("Robot", "False")])
    async def test_a_person_is_certified_as_a_user_alone(self, kind: str, certified: str) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(certification(kind=kind))
        await operator.reconcile(REGISTRY_USERS, "ann")
        assert operator.condition(REGISTRY_USERS, "ann", "Certified")[0] == certified

    @pytest.mark.parametrize(("kind", "certified"), [("User", "False"), ("Robot", "True")])
    async def test_a_robot_is_certified_as_a_robot_alone(self, kind: str, certified: str) -> None:
        operator = Operator()
        operator.put(user("ann", type="Robot"))
        operator.put(certification(kind=kind))
        await operator.reconcile(REGISTRY_USERS, "ann")
        assert operator.condition(REGISTRY_USERS, "ann", "Certified")[0] == certified

    async def test_a_certification_that_is_being_deleted_or_unreadable_certifies_no_one(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        going = certification("going")
        going["metadata"]["deletionTimestamp"] = at(0)
        operator.put(going)
        broken = certification("broken")
        broken["spec"]["validUntil"] = "some day"
        operator.put(broken)
        await operator.reconcile(REGISTRY_USERS, "ann")
        assert operator.condition(REGISTRY_USERS, "ann", "Certified") == ("False", "NoCertification")

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (None, "SecretNotFound"),
            ({}, "SecretKeyMissing"),
            ({"hash": ""}, "SecretEmpty"),
            ({"hash": base64.b64encode(b"password").decode()}, "UnknownHashScheme"),
            ({"hash": HASH}, "Ready"),
        ],
    )
    async def test_a_password_secret(self, data: dict[str, str] | None, reason: str) -> None:
        operator = Operator()
        operator.put(user("ann", passwordSecretRef={"name": "ann", "key": "hash"}))
        if data is not None:
            secret = manifest(SECRETS, "ann", "berth-system")
            operator.put({**secret, "data": data})
        after = await operator.reconcile(REGISTRY_USERS, "ann")
        assert operator.condition(REGISTRY_USERS, "ann", "Ready")[1] == reason
        assert after == (None if reason == "Ready" else STALLED_RESYNC_SECONDS)

    @pytest.mark.parametrize(("until", "after"), [(40.0, 40.0), (4000.0, STALLED_RESYNC_SECONDS)])
    async def test_a_stalled_user_is_requeued_when_a_certification_ends(self, until: float, after: float) -> None:
        operator = Operator()
        operator.put(user("ann", passwordSecretRef={"name": "ann", "key": "hash"}))
        operator.put(certification(until=until))
        assert await operator.reconcile(REGISTRY_USERS, "ann") == pytest.approx(after)

    async def test_a_status_that_waits_for_access_is_written_a_second_later(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.problem = "Pod access-0 of the access service does not answer."
        assert await operator.reconcile(REGISTRY_USERS, "ann") == 1.0
        assert operator.condition(REGISTRY_USERS, "ann", "Ready") == ("False", "PolicyPending")


async def test_a_team_names_its_members_that_do_not_exist() -> None:
    operator = Operator()
    operator.put(user("ann"))
    members = [{"kind": "User", "name": "ann"}, {"kind": "User", "name": "bob"}]
    operator.put(manifest(REGISTRY_TEAMS, "authors", members=members))
    assert await operator.reconcile(REGISTRY_TEAMS, "authors") is None
    status = operator.status(REGISTRY_TEAMS, "authors")
    assert status["members"] == 2
    (message,) = [c["message"] for c in status["conditions"] if "bob" in c["message"]]
    assert "ann" not in message


class TestTokens:
    """The status of an AccessToken."""

    async def test_it_is_valid_until_it_ends_and_requeued_then(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(token(until=30))
        assert await operator.reconcile(ACCESS_TOKENS, "t") == pytest.approx(30)
        assert operator.condition(ACCESS_TOKENS, "t", "Ready") == ("True", "Valid")
        operator.pass_time(30)
        assert await operator.reconcile(ACCESS_TOKENS, "t") == STALLED_RESYNC_SECONDS
        assert operator.condition(ACCESS_TOKENS, "t", "Ready") == ("False", "TokenExpired")

    async def test_one_without_an_end_is_not_requeued_again(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(token())
        assert await operator.reconcile(ACCESS_TOKENS, "t") is None

    async def test_a_moment_before_its_end_it_is_requeued_after_a_moment(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(token(until=30))
        operator.pass_time(29.999)
        assert await operator.reconcile(ACCESS_TOKENS, "t") == pytest.approx(0.05)

    async def test_its_owner_must_exist(self) -> None:
        operator = Operator()
        operator.put(token())
        assert await operator.reconcile(ACCESS_TOKENS, "t") == STALLED_RESYNC_SECONDS
        assert operator.condition(ACCESS_TOKENS, "t", "Ready") == ("False", "UserNotFound")

    async def test_an_owner_of_the_other_type_is_none(self) -> None:
        operator = Operator()
        operator.put(user("ann", type="Robot"))
        operator.put(token())
        await operator.reconcile(ACCESS_TOKENS, "t")
        assert operator.condition(ACCESS_TOKENS, "t", "Ready") == ("False", "UserNotFound")

    async def test_a_disabled_owner_is_named(self) -> None:
        operator = Operator()
        operator.put(user("ann", disabled=True))
        operator.put(token())
        await operator.reconcile(ACCESS_TOKENS, "t")
        assert operator.condition(ACCESS_TOKENS, "t", "Ready") == ("True", "Disabled")

    async def test_of_two_with_one_secret_the_first_by_name_counts(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(token("one"))
        operator.put(token("two"))
        operator.put(token("zero", sha256="b" * 64))
        for name in ("one", "two", "zero"):
            await operator.reconcile(ACCESS_TOKENS, name)
        reasons = [operator.condition(ACCESS_TOKENS, name, "Ready")[1] for name in ("one", "two", "zero")]
        assert reasons == ["Valid", "TokenRepeated", "Valid"]

    async def test_a_stalled_token_is_requeued_when_it_ends(self) -> None:
        operator = Operator()
        operator.put(token(until=20))
        assert await operator.reconcile(ACCESS_TOKENS, "t") == pytest.approx(20)


class TestCertifications:
    """The status of a Certification."""

    @pytest.mark.parametrize(
        ("kind", "present", "reason"),
        [
            ("User", {}, "Valid"),
            ("User", None, "UserNotFound"),
            ("User", {"disabled": True}, "Disabled"),
            ("User", {"type": "Robot"}, "UserNotFound"),
            ("Robot", {"type": "Robot"}, "Valid"),
        ],
    )
    async def test_its_subject(self, kind: str, present: dict[str, Any] | None, reason: str) -> None:
        operator = Operator()
        if present is not None:
            operator.put(user("ann", **present))
        operator.put(certification(kind=kind))
        await operator.reconcile(CERTIFICATIONS, "c")
        assert operator.condition(CERTIFICATIONS, "c", "Ready")[1] == reason

    async def test_a_service_account_is_taken_to_exist(self) -> None:
        operator = Operator()
        operator.put(certification(kind="ServiceAccount", subject="builders/ci"))
        assert await operator.reconcile(CERTIFICATIONS, "c") is None
        assert operator.condition(CERTIFICATIONS, "c", "Ready") == ("True", "Valid")

    async def test_it_is_requeued_when_it_ends(self) -> None:
        operator = Operator()
        operator.put(user("ann"))
        operator.put(certification(until=70))
        assert await operator.reconcile(CERTIFICATIONS, "c") == pytest.approx(70)
        operator.pass_time(71)
        assert await operator.reconcile(CERTIFICATIONS, "c") == STALLED_RESYNC_SECONDS
        assert operator.condition(CERTIFICATIONS, "c", "Ready") == ("False", "CertificationExpired")


async def test_a_user_that_is_being_deleted_does_not_exist_for_others() -> None:
    operator = Operator()
    going = user("ann")
    going["metadata"]["deletionTimestamp"] = at(0)
    operator.put(going)
    operator.put(token())
    await operator.reconcile(ACCESS_TOKENS, "t")
    assert operator.condition(ACCESS_TOKENS, "t", "Ready") == ("False", "UserNotFound")
