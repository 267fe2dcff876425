"""Objects that the API server refuses, and exactly what kubectl then shows."""

from __future__ import annotations

from typing import Any, Final

from tests.kit.api.objects import REMOVED, certification, policy, repository, team, token, user
from tests.kit.api.project_cases import PROJECT_IDS, PROJECTS
from tests.kit.api.refused import CURATOR, MISNAMED, NAMED, OBJECT_NAME, Refused

USER_NAME: Final = "must be the metadata.name of a RegistryUser: use lower-case letters, digits, hyphens and dots"
REPOSITORY_PATH: Final = (
    "must be a repository path like tools/aligner: use lower-case letters and digits, separated within a component by "
    "one dot, one or two underscores, or hyphens; no slash at the beginning or end"
)
SHA256: Final = (
    "must be the SHA-256 of the token in 64 lower-case hexadecimal digits: create one with kubectl berth token create"
)
DIGEST: Final = "must be a digest: write sha256: and 64 hexadecimal digits, or sha512: and 128, in lower case"
IMAGE: Final = (
    "must be an image with its registry and without tag, for example example.org/tools/aligner: "
    "write the tags in external.tags"
)
GOOD_DIGEST: Final = "sha256:" + "a" * 64


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
        "hyphens, and do not begin with a dot or hyphen",
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
    _certification("no subject", "spec.subject: Required value", subject=REMOVED),
    _certification("no certifier", "spec.certifiedBy: Required value", certifiedBy=REMOVED),
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
    _token("no owner", "spec.owner: Required value", owner=REMOVED),
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
