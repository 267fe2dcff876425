"""Projects that the API server refuses, and exactly what kubectl then shows."""

from __future__ import annotations

from typing import Any, Final

from berth.api.names import RESERVED_PROJECT_IDS
from tests.kit.api.objects import REMOVED, project
from tests.kit.api.refused import CURATOR, MISNAMED, NAMED, OBJECT_NAME, Refused

PROJECT_ID: Final = "is the project id in every image name: use "
COMPUTE: Final = "must be a quantity above zero, for example 500m for cpu or 256Mi for memory"
LEVELS: Final = '"View", "Download", "Edit", "EditAndDelete", "Administer"'


def _project(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"project: {title}", lambda name, _: project(name, **changes), causes)


def _named(title: str, project_name: str, cause: str) -> Refused:
    return Refused(
        f"project id: {title}", lambda *_: project(project_name), (f"metadata.name: Invalid value: {cause}",)
    )


def _size(title: str, size: str) -> Refused:
    return _project(
        f"size {title}",
        f'spec.storage.persistentVolumeClaim.size: Invalid value: "{size}": must be a size above zero: write a number '
        "and a unit, for example 50Gi",
        storage__persistentVolumeClaim__size=size,
    )


PROJECT_IDS: Final = (
    *(
        _named(f"{name} is reserved", name, "is reserved for Berth's own addresses: choose another project id")
        for name in sorted(RESERVED_PROJECT_IDS)
    ),
    _named("51 characters", "a" * 51, f"{PROJECT_ID}at most 50 characters"),
    _named(
        "a dot",
        "a.b",
        f"{PROJECT_ID}lower-case letters, digits and hyphens, and begin and end with a letter or digit",
    ),
)

PROJECTS: Final = (
    _project("no storage", "spec.storage: Required value", storage=REMOVED),
    _project("no claim", "spec.storage.persistentVolumeClaim: Required value", storage__persistentVolumeClaim=REMOVED),
    _project(
        "no size",
        "spec.storage.persistentVolumeClaim.size: Required value",
        storage__persistentVolumeClaim__size=REMOVED,
    ),
    _project(
        "unknown storage",
        'spec.storage.type: Unsupported value: "Tape": supported values: "PersistentVolumeClaim"',
        storage__type="Tape",
    ),
    _size("zero", "0"),
    _size("negative", "-1Gi"),
    _size("no unit known", "5GiB"),
    _project(
        "unknown access mode",
        'spec.storage.persistentVolumeClaim.accessMode: Unsupported value: "ReadOnlyMany": supported values: '
        '"ReadWriteOnce", "ReadWriteMany"',
        storage__persistentVolumeClaim__accessMode="ReadOnlyMany",
    ),
    _project(
        "storage class of no possible name",
        f'spec.storage.persistentVolumeClaim.storageClassName: Invalid value: "Fast!": {OBJECT_NAME}',
        storage__persistentVolumeClaim__storageClassName="Fast!",
    ),
    _project(
        "replicas on a claim of one node",
        "spec.registry.replicas: Invalid value: above 1 needs a volume that several pods can write: set it to 1, or "
        "create the Project with spec.storage.persistentVolumeClaim.accessMode ReadWriteMany",
        registry__replicas=2,
    ),
    _project(
        "no replica",
        "spec.registry.replicas: Invalid value: 0: spec.registry.replicas in body should be greater than or equal to 1",
        registry__replicas=0,
    ),
    _project(
        "no cpu",
        f"spec.registry.resources.limits.cpu: Invalid value: 0: {COMPUTE}",
        registry__resources__limits={"cpu": 0},
    ),
    _project(
        "memory that is no size",
        f'spec.registry.resources.limits.memory: Invalid value: "lots": {COMPUTE}',
        registry__resources__limits={"memory": "lots"},
    ),
    _project(
        "requests above limits",
        "spec.registry.resources.requests.cpu: Invalid value: is more than its limit: lower it, or raise the limit",
        "spec.registry.resources.requests.memory: Invalid value: is more than its limit: lower it, or raise the limit",
        registry__resources={"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"cpu": "1500m", "memory": "1G"}},
    ),
    _project(
        "a subject twice",
        "spec.sharing: Invalid value: names one subject twice: keep one entry for each kind and name, with the higher "
        "level",
        sharing=[CURATOR, {"kind": "AuthenticatedUsers", "level": "View"}, CURATOR | {"level": "View"}],
    ),
    _project(
        "everybody twice",
        "spec.sharing: Invalid value: names one subject twice: keep one entry for each kind and name, with the higher "
        "level",
        sharing=[{"kind": "AuthenticatedUsers", "level": "View"}, {"kind": "AuthenticatedUsers", "level": "Edit"}],
    ),
    _project(
        "a user without a name",
        f"spec.sharing[0]: Invalid value: {NAMED['User']}",
        sharing=[{"kind": "User", "level": "View"}],
    ),
    _project(
        "everybody with a name",
        "spec.sharing[0]: Invalid value: kind AuthenticatedUsers means everyone with a login: remove name",
        sharing=[{"kind": "AuthenticatedUsers", "name": "all", "level": "View"}],
    ),
    _project(
        "a user of no possible name",
        f"spec.sharing[0]: Invalid value: {NAMED['User']}",
        sharing=[CURATOR | {"name": "Curator"}],
    ),
    _project(
        "the public with a name",
        "spec.sharing[0]: Invalid value: kind Public means everyone: remove name",
        sharing=[{"kind": "Public", "name": "all", "level": "View"}],
    ),
    *(
        _project(
            f"the public with {level}",
            "spec.sharing[0]: Invalid value: kind Public may View or Download at most: choose one of these, or share "
            "with a named subject",
            sharing=[{"kind": "Public", "level": level}],
        )
        for level in ("Edit", "EditAndDelete", "Administer")
    ),
    *(
        _project(
            f"{kind} of no possible name {name}",
            f"spec.sharing[0]: Invalid value: {NAMED[kind]}",
            sharing=[{"kind": kind, "name": name, "level": "View"}],
        )
        for kind, name in MISNAMED
    ),
    _project(
        "a namespace of no possible name",
        'spec.pullSecrets[0].namespace: Invalid value: "a.b": must be the name of a namespace: use lower-case letters, '
        "digits and hyphens, and begin and end with a letter or digit",
        pullSecrets=[{"namespace": "a.b"}],
    ),
    _project(
        "a namespace twice",
        'spec.pullSecrets[1]: Duplicate value: {"namespace":"analysis"}',
        pullSecrets=[{"namespace": "analysis"}, {"namespace": "analysis", "serviceAccounts": ["default"]}],
    ),
    _project(
        "an unknown level",
        f'spec.sharing[0].level: Unsupported value: "Own": supported values: {LEVELS}',
        sharing=[CURATOR | {"level": "Own"}],
    ),
    _project(
        "an unknown subject",
        'spec.sharing[0].kind: Unsupported value: "Cat": supported values: "User", "Robot", '
        '"ServiceAccount", "Team", "Group", "AuthenticatedUsers", "Public"',
        sharing=[CURATOR | {"kind": "Cat"}],
    ),
    _project(
        "too many subjects",
        "spec.sharing: Too many: 201: must have at most 200 items",
        sharing=[CURATOR | {"name": f"u{number}"} for number in range(201)],
    ),
    _project(
        "unknown creation",
        'spec.repositoryCreation: Unsupported value: "Never": supported values: "OnPush", "Declared"',
        repositoryCreation="Never",
    ),
    _project(
        "a layer size that is none",
        'spec.limits.layerSize: Invalid value: "big": must be a size above zero: write a number and a unit, for '
        "example 100G",
        limits__layerSize="big",
    ),
    _project(
        "a long name for people",
        "spec.displayName: Too long: may not be more than 100 bytes",
        displayName="n" * 101,
    ),
)
