"""The status of one namespace of `spec.pullSecrets`."""

from __future__ import annotations

import pytest

from berth.status.pull_secret import absent_status, consent_missing_status, served_status

SECRET = "berth-pull-genomics"


def test_a_served_namespace_names_its_secret_and_has_no_message() -> None:
    status = served_status("analysis", SECRET, rotated_at=None, missing=[])
    assert (status.served, status.reason, status.message) == (True, "Served", None)
    assert status.secret_name == SECRET


def test_missing_service_accounts_are_named_and_the_namespace_is_served() -> None:
    status = served_status("analysis", SECRET, rotated_at=None, missing=["web", "worker"])
    assert (status.served, status.reason) == (True, "ServiceAccountNotFound")
    assert status.message is not None
    assert status.message.startswith("ServiceAccount web, worker of namespace analysis does not exist")


@pytest.mark.parametrize(
    ("terminating", "reason", "words"),
    [(False, "NamespaceNotFound", "does not exist"), (True, "NamespaceTerminating", "is being deleted")],
)
def test_an_absent_namespace_is_not_served(terminating: bool, reason: str, words: str) -> None:
    status = absent_status("analysis", terminating=terminating)
    assert (status.served, status.reason, status.secret_name) == (False, reason, None)
    assert words in str(status.message)


@pytest.mark.parametrize("left", [False, True])
def test_a_namespace_without_consent_gets_the_command_and_the_secret_that_is_left(left: bool) -> None:
    status = consent_missing_status(
        "analysis", SECRET, cluster_role="berth-pull-secrets", account="berth-system:berth-operator", left=left
    )
    assert (status.served, status.reason) == (False, "ConsentMissing")
    assert str(status.message).endswith(
        "kubectl -n analysis create rolebinding berth-pull-secrets --clusterrole=berth-pull-secrets "
        "--serviceaccount=berth-system:berth-operator"
    )
    assert (f"delete secret {SECRET}" in str(status.message)) is left
    assert status.secret_name == (SECRET if left else None)
