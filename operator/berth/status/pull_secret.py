"""What the status of a Project tells of one namespace of `spec.pullSecrets`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from berth.api.conditions import ConditionReason
from berth.api.project import PullSecretStatus


def tell_served(
    namespace: str, secret: str, *, rotated_at: datetime | None, missing: Sequence[str]
) -> PullSecretStatus:
    """The Secret is there; `missing` are ServiceAccounts that should use it and do not exist."""
    reason, message = ConditionReason.SERVED, None
    if missing:
        reason = ConditionReason.SERVICE_ACCOUNT_NOT_FOUND
        some = f"ServiceAccount {', '.join(missing)} of namespace {namespace}"
        message = f"{some} does not exist: create it, or take it out of spec.pullSecrets."
    return PullSecretStatus(
        namespace=namespace,
        served=True,
        reason=reason.value,
        message=message,
        secret_name=secret,
        rotated_at=rotated_at,
    )


def tell_refused(namespace: str, reason: ConditionReason, sentence: str) -> PullSecretStatus:
    """Something else keeps the namespace from being served."""
    return PullSecretStatus(namespace=namespace, served=False, reason=reason.value, message=sentence)


def tell_absent(namespace: str, *, terminating: bool) -> PullSecretStatus:
    """There is no such namespace, or soon none any more."""
    if terminating:
        reason, what = ConditionReason.NAMESPACE_TERMINATING, "is being deleted: take it out of"
    else:
        reason, what = ConditionReason.NAMESPACE_NOT_FOUND, "does not exist: create it, or take it out of"
    return tell_refused(namespace, reason, f"Namespace {namespace} {what} spec.pullSecrets.")


def tell_consent_missing(
    namespace: str, secret: str, *, cluster_role: str, account: str, left: bool
) -> PullSecretStatus:
    """The namespace does not agree, and how it would. `account` is the operator's ServiceAccount, `namespace:name`.

    `left`: it did agree, so that a Secret may stand there that the operator has no right to remove, with a token that
    is revoked.
    """
    agree = f"kubectl -n {namespace} create rolebinding {cluster_role} --clusterrole={cluster_role} "
    agree += f"--serviceaccount={account}"
    if not left:
        sentence = f"Namespace {namespace} does not let Berth write its pull secret; whoever administers it runs: "
        return tell_refused(namespace, ConditionReason.CONSENT_MISSING, sentence + agree)
    sentence = (
        f"Namespace {namespace} does not let Berth write its pull secret any more, so the token in Secret {secret} "
        f"there is revoked; whoever administers it removes that Secret (kubectl -n {namespace} delete secret {secret}) "
        "or agrees again: "
    )
    told = tell_refused(namespace, ConditionReason.CONSENT_MISSING, sentence + agree)
    return told.model_copy(update={"secret_name": secret})
