"""The dependencies of every reconciler, created once at the start of the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from berth.kube.apply import Applier
from berth.kube.client import KubeClient
from berth.reconcile.pull_secrets.service import PullSecrets
from berth.reconcile.watch.caches import Caches
from berth.reconcile.watch.enqueue import Enqueuer
from berth.reconcile.write.status import StatusWriter
from berth.reconcile.write_probes import Probes
from berth.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class Context:
    """Dependencies of the reconcilers. Nothing is global; tests create their own."""

    settings: OperatorSettings
    version: str  # of Berth, for the label app.kubernetes.io/version
    client: KubeClient
    caches: Caches
    enqueuer: Enqueuer
    applier: Applier
    statuses: StatusWriter
    probes: Probes
    pull_secrets: PullSecrets
    now: Callable[[], datetime]  # aware, UTC
