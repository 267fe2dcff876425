"""Objects that the API server refuses, and exactly what kubectl then shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from berth.api.names import RESERVED_PROJECT_IDS
from tests.component.api.objects import REMOVED, Object, certification, policy, project, repository, team, token, user

Make = Callable[[str, str], Object]  # (name, namespace) -> object

PROJECT_ID: Final = "is the project id in every image name: use "
OBJECT_NAME: Final = (
    "must be the name of an object: use lower-case letters, digits, hyphens and dots, "
    "and begin and end with a letter or digit"
)
USER_NAME: Final = "must be the metadata.name of a RegistryUser: use lower-case letters, digits, hyphens and dots"
REPOSITORY_PATH: Final = (
    "must be a repository path like tools/aligner: use lower-case letters and digits, within a component parted by one "
    "dot, one or two underscores, or hyphens; no slash at the begin or end"
)
NAMED: Final = {
    "User": "kind User needs a name of its form: write the metadata.name of a RegistryUser (lower-case letters, "
    "digits, hyphens and dots)",
    "Robot": "kind Robot needs a name of its form: write the metadata.name of a RegistryUser of type Robot (lower-case "
    "letters, digits, hyphens and dots)",
    "Team": "kind Team needs a name of its form: write the metadata.name of a RegistryTeam (lower-case letters, "
    "digits, hyphens and dots)",
    "ServiceAccount": "kind ServiceAccount needs a name of its form: write namespace/name of a ServiceAccount, for "
    "example builders/ci",
    "Group": "kind Group needs a name of its form: write a group as the identity provider names it, with the prefix of "
    "the installation, for example idp:lab-42",
}
MISNAMED: Final = (
    ("User", "u" * 64),
    ("Robot", "Nightly"),
    ("Team", "team_1"),
    ("Team", "t" * 64),
    ("ServiceAccount", "ci"),
    ("ServiceAccount", "a.b/ci"),
    ("ServiceAccount", "builders/ci/x"),
    ("Group", " lab"),
    ("Group", "lab\n"),
)
SHA256: Final = (
    "must be the SHA-256 of the token in 64 lower-case hexadecimal digits: make one with kubectl berth token create"
)
COMPUTE: Final = "must be a quantity above zero, for example 500m for cpu or 256Mi for memory"
DIGEST: Final = "must be a digest: write sha256: and 64 hexadecimal digits, or sha512: and 128, in lower case"
IMAGE: Final = (
    "must be an image with its registry and without tag, for example example.org/tools/aligner: "
    "the tags stand in external.tags"
)
LEVELS: Final = '"View", "Download", "Edit", "EditAndDelete", "Administer"'
CURATOR: Final = {"kind": "User", "name": "curator", "level": "Edit"}
GOOD_DIGEST: Final = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Refused:
    """A new object, and the causes that kubectl lists."""

    title: str
    make: Make
    causes: tuple[str, ...]


def _project(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"project: {title}", lambda name, _: project(name, **changes), causes)


def _named(title: str, project_name: str, cause: str) -> Refused:
    return Refused(
        f"project id: {title}", lambda *_: project(project_name), (f"metadata.name: Invalid value: {cause}",)
    )


def _repository(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"repository: {title}", lambda name, namespace: repository(name, namespace, **changes), causes)


def _user(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"user: {title}", lambda name, _: user(name, **changes), causes)


def _certification(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"certification: {title}", lambda name, _: certification(name, **changes), causes)


def _team(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"team: {title}", lambda name, _: team(name, **changes), causes)


def _token(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"token: {title}", lambda name, _: token(name, **changes), causes)


def _policy(title: str, *causes: str, **changes: Any) -> Refused:
    return Refused(f"policy: {title}", lambda name, namespace: policy(name, namespace, **changes), causes)


def _path(path: str) -> Refused:
    return _repository(f"path {path}", f'spec.repository: Invalid value: "{path}": {REPOSITORY_PATH}', repository=path)


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
        "make the Project with spec.storage.persistentVolumeClaim.accessMode ReadWriteMany",
        registry__replicas=2,
    ),
    _project(
        "no replica",
        "spec.registry.replicas: Invalid value: 0: spec.registry.replicas in body should be greater than or equal to 1",
        registry__replicas=0,
    ),
    _project(
        "compute resources that are none",
        f"spec.registry.resources.limits.cpu: Invalid value: 0: {COMPUTE}",
        f'spec.registry.resources.limits.memory: Invalid value: "lots": {COMPUTE}',
        registry__resources__limits={"cpu": 0, "memory": "lots"},
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
        "spec.sharing[0]: Invalid value: kind AuthenticatedUsers means everybody with a login: remove name",
        sharing=[{"kind": "AuthenticatedUsers", "name": "all", "level": "View"}],
    ),
    _project(
        "a user of no possible name",
        f"spec.sharing[0]: Invalid value: {NAMED['User']}",
        sharing=[CURATOR | {"name": "Curator"}],
    ),
    _project(
        "the public with a name",
        "spec.sharing[0]: Invalid value: kind Public means everybody: remove name",
        sharing=[{"kind": "Public", "name": "all", "level": "View"}],
    ),
    *(
        _project(
            f"the public with {level}",
            "spec.sharing[0]: Invalid value: kind Public may View or Download at most: choose one of these, or name "
            "who may do more",
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
        'spec.sharing[0].kind: Unsupported value: "Cat": supported values: "User", "Team", "Group", '
        '"ServiceAccount", "Robot", "AuthenticatedUsers", "Public"',
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

REPOSITORIES: Final = (
    *map(_path, ("Tools", "/a", "a/", "a//b", "a/../b", "a..b", "a___b", "-a", "a:b", "a b")),
    Refused(
        "repository: 201 characters",
        lambda _, namespace: repository("a" * 201, namespace),
        ("metadata.name: Invalid value: is the path when spec.repository is absent: use at most 200 characters",),
    ),
    _repository(
        "a subject twice",
        "spec.localSharing: Invalid value: names one subject twice: keep one entry for each kind and name, with the "
        "higher level",
        localSharing=[CURATOR, CURATOR],
    ),
    _repository(
        "an external image with a tag",
        f'spec.external.image: Invalid value: "example.org/a:1": {IMAGE}',
        external={"image": "example.org/a:1"},
    ),
    _repository(
        "an external tag that is none",
        'spec.external.tags[0].name: Invalid value: "-1": must be a tag: use letters, digits, underscores, dots and '
        "hyphens, and begin with none of the last two",
        external={"image": "example.org/a", "tags": [{"name": "-1", "digest": GOOD_DIGEST}]},
    ),
    _repository(
        "an external digest that is none",
        f'spec.external.tags[0].digest: Invalid value: "sha256:a": {DIGEST}',
        external={"image": "example.org/a", "tags": [{"name": "1", "digest": "sha256:a"}]},
    ),
    _repository(
        "an external tag twice",
        'spec.external.tags[1]: Duplicate value: {"name":"1"}',
        external={"image": "example.org/a", "tags": [{"name": "1", "digest": GOOD_DIGEST}] * 2},
    ),
)

USERS: Final = (
    Refused(
        "user: 64 characters",
        lambda *_: user("u" * 64),
        ("metadata.name: Invalid value: is the user name for docker login: use at most 63 characters",),
    ),
    _user("unknown type", 'spec.type: Unsupported value: "Cat": supported values: "Person", "Robot"', type="Cat"),
    _user("no Secret name", "spec.passwordSecretRef.name: Required value", passwordSecretRef={}),
    _user(
        "a Secret of no possible name",
        f'spec.passwordSecretRef.name: Invalid value: "My Secret": {OBJECT_NAME}',
        passwordSecretRef={"name": "My Secret"},
    ),
    _user(
        "a key of no possible name",
        'spec.passwordSecretRef.key: Invalid value: "pass word": must be a key of a Secret: use letters, digits, '
        "hyphens, dots and underscores",
        passwordSecretRef={"name": "s", "key": "pass word"},
    ),
    _user(
        "a ServiceAccount without its namespace",
        'spec.kubernetes.serviceAccounts[0]: Invalid value: "ci": must be the namespace and name of a ServiceAccount: '
        "write namespace/name, for example builders/ci",
        kubernetes={"serviceAccounts": ["ci"]},
    ),
    _user(
        "a cluster name twice",
        'spec.kubernetes.users[1]: Duplicate value: "a"',
        kubernetes={"users": ["a", "a"]},
    ),
)

CERTIFICATIONS: Final = (
    _certification("nobody", "spec.subject: Required value", subject=REMOVED),
    _certification("by nobody", "spec.certifiedBy: Required value", certifiedBy=REMOVED),
    _certification(
        "an unknown subject",
        'spec.subject.kind: Unsupported value: "Cat": supported values: "User", "Robot", "ServiceAccount"',
        subject__kind="Cat",
    ),
    *(
        _certification(
            f"{kind} of no possible name {name}",
            f"spec.subject: Invalid value: {NAMED[kind]}",
            subject={"kind": kind, "name": name},
        )
        for kind, name in (("User", "A B"), ("Robot", "r_1"), ("ServiceAccount", "ci"))
    ),
    _certification(
        "a day instead of a moment",
        'spec.validUntil: Invalid value: "tomorrow": spec.validUntil in body must be of type date-time: "tomorrow"',
        validUntil="tomorrow",
    ),
)

TEAMS: Final = (
    Refused(
        "team: 64 characters",
        lambda *_: team("t" * 64),
        ("metadata.name: Invalid value: is the name in sharing lists: use at most 63 characters",),
    ),
    _team(
        "a team in a team",
        'spec.members[0].kind: Unsupported value: "Team": supported values: "User", "Robot", "ServiceAccount", "Group"',
        members=[{"kind": "Team", "name": "others"}],
    ),
    _team(
        "a member twice",
        'spec.members[1]: Duplicate value: {"kind":"User","name":"curator"}',
        members=[{"kind": "User", "name": "curator"}] * 2,
    ),
    *(
        _team(
            f"{kind} of no possible name {name}",
            f"spec.members[0]: Invalid value: {NAMED[kind]}",
            members=[{"kind": kind, "name": name}],
        )
        for kind, name in MISNAMED
        if kind != "Team"
    ),
)

TOKENS: Final = (
    _token("nobody's", "spec.owner: Required value", owner=REMOVED),
    _token(
        "a group's",
        'spec.owner.kind: Unsupported value: "Group": supported values: "User", "Robot"',
        owner__kind="Group",
    ),
    _token("an owner of no possible name", f'spec.owner.name: Invalid value: "A B": {USER_NAME}', owner__name="A B"),
    _token("no scopes", "spec.scopes: Required value", scopes=REMOVED),
    _token(
        "an empty list of scopes",
        "spec.scopes: Invalid value: 0: spec.scopes in body should have at least 1 items",
        scopes=[],
    ),
    _token(
        "an unknown scope",
        'spec.scopes[0]: Unsupported value: "fly": supported values: "view", "download", "modify"',
        scopes=["fly"],
    ),
    _token(
        "the secret instead of its hash",
        f'spec.sha256: Invalid value: "berth_0000": {SHA256}',
        sha256="berth_0000",
    ),
    _token("a hash in capitals", f'spec.sha256: Invalid value: "{"A" * 64}": {SHA256}', sha256="A" * 64),
)

POLICIES: Final = (
    _policy(
        "an unknown state",
        'spec.state: Unsupported value: "Asleep": supported values: "Active", "Trashed", "Suspended"',
        state="Asleep",
    ),
)

REFUSED: Final = (*PROJECT_IDS, *PROJECTS, *REPOSITORIES, *USERS, *CERTIFICATIONS, *TEAMS, *TOKENS, *POLICIES)
