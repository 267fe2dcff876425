"""The cluster that a command talks to, chosen as kubectl chooses it, and the user's name in it."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from berth.kube.client import KubeClient
from berth.kube.client_config import NoClusterError
from berth.kube.resources import SELF_SUBJECT_REVIEWS

USER_AGENT: Final = "kubectl-berth"
FIELD_MANAGER: Final = "kubectl-berth"

_DEFAULT: Final = "~/.kube/config"
_CHOOSE: Final = "choose another with --kubeconfig or --context"


@asynccontextmanager
async def connect(kubeconfig: str = "", context: str = "") -> AsyncIterator[KubeClient]:
    """Connect as kubectl does. `kubeconfig` is a path or several joined by colons; empty: the one in the home folder.

    In a Pod without a kubeconfig: as its ServiceAccount. An empty `context` is the current one. Raises NoClusterError.
    """
    path = kubeconfig or _default()
    exists = _exists(path)
    if not exists and (kubeconfig or context):
        raise NoClusterError(f"There is no kubeconfig {path}; name another with --kubeconfig or in KUBECONFIG.")
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                KubeClient.connect(path if exists else None, context=context, user_agent=USER_AGENT)
            )
        except (NoClusterError, OSError, ValueError) as error:
            if not exists:
                raise NoClusterError(
                    "There is no kubeconfig in your home folder; name one with --kubeconfig or in KUBECONFIG."
                ) from error
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            if isinstance(error, ssl.SSLError):
                reason = "its certificates or its key are not PEM, or do not belong together"
            chosen = f" with the context {context}" if context else ""
            raise NoClusterError(f"The kubeconfig {path}{chosen} cannot be used: {reason}; {_CHOOSE}.") from error
        yield client


def _default() -> str:
    return str(Path(_DEFAULT).expanduser())


def _exists(paths: str) -> bool:
    return any(Path(path).expanduser().exists() for path in paths.split(os.pathsep))


async def user_name(client: KubeClient) -> str:
    """The user's name in the cluster, as the API server sees it (`kubectl auth whoami`)."""
    body = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
    review = await client.create(SELF_SUBJECT_REVIEWS, body, field_manager=FIELD_MANAGER)
    return str(review["status"]["userInfo"]["username"])
