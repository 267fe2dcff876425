"""The process as a whole: its endpoints, and that no part of it dies unnoticed."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from berth.kube.client import KubeClient
from berth.kube.resources import PROJECTS
from berth.services.operator.process import operate
from tests.kit.operator.harness import Cluster, RunningOperator
from tests.kit.operator.settings import operator_settings


async def test_health_readiness_and_metrics_answer(operator: RunningOperator) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{operator.port}") as session:
        for path in ("/healthz", "/readyz", "/metrics"):
            async with session.get(path) as answer:
                assert answer.status == 200
                assert await answer.text()


async def test_a_part_that_ends_ends_the_operator(cluster: Cluster) -> None:
    with socket.create_server(("", 0)) as taken:
        settings = operator_settings(health_port=taken.getsockname()[1])
        async with KubeClient.connect(cluster.operator_kubeconfig) as client, asyncio.timeout(30):
            with pytest.raises(ExceptionGroup):
                await operate(settings, client, cluster.registries, cluster.replicas, asyncio.Event())


async def test_an_error_in_berth_is_reported_as_unknown_and_healed_by_the_next_pass(
    cluster: Cluster, operator: RunningOperator, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.ready_project(unique)
    with monkeypatch.context() as broken:

        def bug(*_: object) -> None:
            raise ZeroDivisionError

        broken.setattr("berth.reconcile.kinds.project_children.desired_project", bug)
        edit = {"spec": {"description": "new"}}
        await cluster.admin.merge(PROJECTS, ("", unique), edit, field_manager="owner")
        live = await cluster.condition(PROJECTS, unique, Ready="Unknown")
        assert live["status"]["inventory"], "what Berth knows is lost with the error"
    await cluster.condition(PROJECTS, unique, Ready="True")
