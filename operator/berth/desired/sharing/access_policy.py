"""`AccessPolicy` objects: the effective permissions of a project, and of each repository with local sharing."""

from __future__ import annotations

import hashlib
from typing import Any

from berth.api import names
from berth.api.policy import PolicyRule, PolicyState, local_rules, project_rules, rules_summary
from berth.api.project import Project
from berth.api.repository import DockerRepository
from berth.desired.inputs import ProjectInputs, RepositoryInputs
from berth.desired.labels import build_child

_COMPONENT = "access"


def build_project_policy(project: Project, inputs: ProjectInputs) -> dict[str, Any]:
    """The policy `project`. The trash changes only its state, so that a restore brings back the exact sharing."""
    spec = {
        "project": project.project_id,
        "state": inputs.state.value,
        **_rules_and_summary(
            project_rules(project, allow_public=inputs.allow_public, token_ends=inputs.pull_token_ends)
        ),
    }
    return build_child(
        names.API_VERSION, "AccessPolicy", names.PROJECT_POLICY_NAME, project.project_id, _COMPONENT, inputs, spec=spec
    )


def build_repository_policy(repository: DockerRepository, inputs: RepositoryInputs) -> dict[str, Any] | None:
    """The policy of a repository with local sharing, else None: then the project's applies.

    Its state is the repository's own. The project's state is in the project's policy; the stricter one wins.
    """
    rules = local_rules(repository, allow_public=inputs.allow_public)
    if rules is None or not inputs.owns_path:
        return None
    trashed = repository.spec.trashed or inputs.deleted
    spec = {
        "project": inputs.project_id,
        "repository": repository.path,
        "state": (PolicyState.TRASHED if trashed else PolicyState.ACTIVE).value,
        **_rules_and_summary(rules),
    }
    name = repository_policy_name(repository.metadata.name)
    policy = build_child(names.API_VERSION, "AccessPolicy", name, inputs.project_id, _COMPONENT, inputs, spec=spec)
    policy["metadata"]["labels"][names.LABEL_REPOSITORY] = repository_label(repository.metadata.name)
    return policy


def repository_policy_name(object_name: str) -> str:
    """The name of its `DockerRepository`, unless that is the name of the project's own policy."""
    return _with_digest(object_name) if object_name == names.PROJECT_POLICY_NAME else object_name


def repository_label(object_name: str) -> str:
    """Value of the label `berth.dev/repository`: the object's name, shortened to the 63 characters of a label."""
    return object_name if len(object_name) <= 63 else _with_digest(object_name)


def _with_digest(object_name: str) -> str:
    digest = hashlib.sha256(object_name.encode()).hexdigest()[:8]
    return f"{object_name[:52].rstrip('-._')}-{digest}"


def _rules_and_summary(rules: tuple[PolicyRule, ...]) -> dict[str, Any]:
    return {"summary": rules_summary(rules), "rules": [rule.to_dict() for rule in rules]}
