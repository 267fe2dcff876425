"""The status of one namespace of a Project's `spec.pullSecrets`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from berth.api.conditions import ConditionReason
from berth.api.project import PullSecretStatus


def served_status(
    namespace: str, secret: str, *, rotated_at: datetime | None, missing: Sequence[str]
) -> PullSecretStatus:
    """The Secret exists; `missing` are listed ServiceAccounts that do not exist."""
    reason, message = ConditionReason.SERVED, None
    if missing:
        reason = ConditionReason.SERVICE_ACCOUNT_NOT_FOUND
        accounts = f"ServiceAccount {', '.join(missing)} of namespace {namespace}"
        message = f"{accounts} does not exist: create it, or remove it from spec.pullSecrets."
    return PullSecretStatus(
        namespace=namespace,
        served=True,
        reason=reason.value,
        message=message,
        secret_name=secret,
        rotated_at=rotated_at,
    )


def refused_status(namespace: str, reason: ConditionReason, sentence: str) -> PullSecretStatus:
    """The namespace has no pull secret, for this reason."""
    return PullSecretStatus(namespace=namespace, served=False, reason=reason.value, message=sentence)


def absent_status(namespace: str, *, terminating: bool) -> PullSecretStatus:
    """The namespace does not exist, or is being deleted."""
    if terminating:
        reason, problem = ConditionReason.NAMESPACE_TERMINATING, "is being deleted: remove it from"
    else:
        reason, problem = ConditionReason.NAMESPACE_NOT_FOUND, "does not exist: create it, or remove it from"
    return refused_status(namespace, reason, f"Namespace {namespace} {problem} spec.pullSecrets.")


def consent_missing_status(
    namespace: str, secret: str, *, cluster_role: str, account: str, left: bool
) -> PullSecretStatus:
    """The namespace has not agreed to the pull secret; the message contains the command that agrees.

    `account` is the operator's ServiceAccount, `namespace:name`. `left`: the namespace had agreed before, so it may
    still have a Secret, with a revoked token, that the operator has no right to remove.
    """
    agree = f"kubectl -n {namespace} create rolebinding {cluster_role} --clusterrole={cluster_role} "
    agree += f"--serviceaccount={account}"
    if not left:
        sentence = (
            f"Namespace {namespace} does not let Berth write its pull secret; an administrator of the namespace runs: "
        )
        return refused_status(namespace, ConditionReason.CONSENT_MISSING, sentence + agree)
    sentence = (
        f"Namespace {namespace} does not let Berth write its pull secret any more, so the token in Secret {secret} "
        f"there is revoked; an administrator of the namespace removes the Secret (kubectl -n {namespace} delete secret "
        f"{secret}) or agrees again: "
    )
    status = refused_status(namespace, ConditionReason.CONSENT_MISSING, sentence + agree)
    return status.model_copy(update={"secret_name": secret})
