"""An object of each kind with every field."""

from __future__ import annotations

from tests.kit.api.objects import Object, certification, policy, project, repository, team, token, user


def full_objects(name: str, namespace: str) -> list[Object]:
    """An object of each kind with every field of its spec in use."""
    digest = "sha256:" + "0" * 64
    sharing = [
        {"kind": "User", "name": "ana.maria", "level": "Administer"},
        {"kind": "Team", "name": "pipeline-authors", "level": "Edit"},
        {"kind": "Robot", "name": "nightly", "level": "EditAndDelete"},
        {"kind": "ServiceAccount", "name": "builders/ci", "level": "Edit"},
        {"kind": "Group", "name": "idp:Lab 42/Müller", "level": "Download"},
        {"kind": "AuthenticatedUsers", "level": "View"},
        {"kind": "Public", "level": "Download"},
    ]
    members = [{"kind": share["kind"], "name": share["name"]} for share in sharing[:1] + sharing[2:5]]
    compute = {"cpu": 1, "memory": "256Mi"}
    return [
        project(
            name,
            displayName="Genomics",
            description="Pipelines and tools",
            storage__persistentVolumeClaim={"size": "50Gi", "storageClassName": "fast", "accessMode": "ReadWriteMany"},
            registry={"replicas": 3, "resources": {"requests": compute, "limits": compute}},
            sharing=sharing,
            repositoryCreation="Declared",
            limits={"layerSize": "100G"},
            pullSecrets=[{"namespace": "analysis", "serviceAccounts": ["default"]}, {"namespace": "web"}],
            suspend=False,
            trashed=False,
        ),
        repository(
            name,
            namespace,
            repository="tools/a__b/c-d.e",
            description="Short-read aligner",
            localSharing=[],
            trashed=True,
            external={"image": "example.org:5000/tools/aligner", "tags": [{"name": "1.0", "digest": digest}]},
        ),
        user(
            name,
            type="Robot",
            displayName="Builder",
            disabled=True,
            passwordSecretRef={"name": "builder", "key": "hash.2"},
            kubernetes={"users": ["ana@example.org"], "groups": ["idp:lab-42"], "serviceAccounts": ["builders/ci"]},
        ),
        team(name, displayName="Authors", members=members),
        certification(name, evidence="https://example.org/quiz/123", validUntil="2027-06-30T00:00:00Z"),
        token(
            name,
            owner={"kind": "Robot", "name": "nightly"},
            scopes=["view", "download", "modify"],
            sha256="0123456789abcdef" * 4,
            expiresAt="2027-06-30T00:00:00Z",
            description="laptop",
        ),
        policy(name, namespace, repository="tools/aligner", state="Suspended"),
    ]
