"""The API server as a person reaches it: by a kubeconfig and one of its contexts, and under which name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import yaml
from kubernetes.aio import client as kube
from kubernetes.aio import config as kube_config

from berth.kube.client import KubeClient
from berth.kube.errors import KubeError
from berth.kube.resources import SELF_SUBJECT_REVIEWS

USER_AGENT: Final = "kubectl-berth"
FIELD_MANAGER: Final = "kubectl-berth"

_DEFAULT: Final = Path("~/.kube/config")


class NoClusterError(KubeError):
    """There is no way to a cluster: no kubeconfig, or one that can not be used."""


@asynccontextmanager
async def connect(kubeconfig: str = "", context: str = "") -> AsyncIterator[KubeClient]:
    """Connect as kubectl does. `kubeconfig` is a path or several joined by colons; empty: the one in the home folder.

    In a Pod without a kubeconfig: as its ServiceAccount. An empty `context` is the current one. Raises NoCluster.
    """
    configuration = kube.Configuration()
    path = kubeconfig or str(_DEFAULT.expanduser())
    exists = _exists(path)
    if not exists and (kubeconfig or context):
        raise NoClusterError(f"There is no kubeconfig {path}; name another with --kubeconfig or in KUBECONFIG.")
    try:
        if exists:
            await kube_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=path, context=context or None, client_configuration=configuration, persist_config=False
            )
        else:
            kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (kube_config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
        if not exists:
            raise NoClusterError(
                "There is no kubeconfig in your home folder; name one with --kubeconfig or in KUBECONFIG."
            ) from error
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        chosen = f" with the context {context}" if context else ""
        raise NoClusterError(
            f"The kubeconfig {path}{chosen} can not be used: {reason}; choose another with --kubeconfig or --context."
        ) from error
    async with kube.ApiClient(configuration) as api:
        api.user_agent = USER_AGENT
        yield KubeClient(api)


def _exists(paths: str) -> bool:
    return any(Path(path).expanduser().exists() for path in paths.split(os.pathsep))


async def user_name(client: KubeClient) -> str:
    """The name under which the API server knows whoever asks (`kubectl auth whoami`)."""
    body = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
    review = await client.create(SELF_SUBJECT_REVIEWS, body, field_manager=FIELD_MANAGER)
    return str(review["status"]["userInfo"]["username"])
