"""A project and its surroundings, to be varied by tests."""

from __future__ import annotations

from typing import Any

from berth.api.project import Project
from berth.api.repository import DockerRepository
from berth.desired.inputs import ProjectInputs, TokenAuthorities

SECRET = "5e" * 32
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def authorities(*required: str, standby: str = "standby", retired: tuple[str, ...] = ()) -> TokenAuthorities:
    """Authorities by their fingerprints: these sign now or next, one is on standby, and some are retired."""
    return TokenAuthorities(CA, frozenset({*required, standby, *retired}), frozenset(required))


def inputs(**changed: Any) -> ProjectInputs:
    """Inputs of an installation called `berth` in `berth-system`."""
    given: dict[str, Any] = {
        "registry_image": "registry.example.org/distribution:3.1.2",
        "registry_version": "3.1.2",
        "registry_pull_policy": "IfNotPresent",
        "token_authorities": authorities("signs"),
        "http_secret": SECRET,
        "host": "images.example.org",
        "berth_namespace": "berth-system",
        "instance": "berth",
        "cluster_domain": "cluster.local",
        "operator_service_account": "berth-operator",
        "project_cluster_role": "berth-project-operator",
    }
    return ProjectInputs(**{**given, **changed})


def project(
    *, name: str = "genomics", metadata: dict[str, Any] | None = None, claim: dict[str, Any] | None = None, **spec: Any
) -> Project:
    """A project with a claim of 10Gi."""
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "10Gi", **(claim or {})}}
    return Project.model_validate(
        {"metadata": {"name": name, "generation": 1, **(metadata or {})}, "spec": {"storage": storage, **spec}}
    )


def repository(name: str = "aligner", **spec: Any) -> DockerRepository:
    """A repository of `genomics`."""
    return DockerRepository.model_validate({"metadata": {"name": name, "namespace": "berth-genomics"}, "spec": spec})


def of_kind(manifests: tuple[dict[str, Any], ...], kind: str, name: str = "") -> dict[str, Any]:
    """The one manifest of a kind (and name)."""
    (found,) = [m for m in manifests if m["kind"] == kind and name in ("", m["metadata"]["name"])]
    return found
