"""A real API server accepts the CRDs and refuses bad objects with our sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from berth.api.generate.crd import object_schema
from berth.api.generate.structural import VALIDATIONS
from berth.api.kinds import KINDS
from berth.api.quantities import parse_quantity
from tests.kit.api.cases import REFUSED
from tests.kit.api.full_objects import full_objects
from tests.kit.api.objects import REMOVED, Object, certification, changed, project, repository, team, token, user
from tests.kit.api.refused import Refused
from tests.kit.control_plane import ControlPlane

# Added by the API server when an object does not fit the schema, before any rule is evaluated.
RULES_NOT_EVALUATED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation"
)
NOT_OF_THE_SCHEMA = ("Required value", "Unsupported value", "Too many", "Too long", "in body must be of type")


def shown(kind: str, name: str, *causes: str) -> str:
    """What kubectl writes when the API server refuses an object for these causes."""
    if any(sign in cause for cause in causes for sign in NOT_OF_THE_SCHEMA):
        causes = (*causes, RULES_NOT_EVALUATED)
    head = f'The {kind} "{name}" is invalid: '
    return head + (causes[0] if len(causes) == 1 else "".join(f"\n* {cause}" for cause in causes))


def applied(plane: ControlPlane, made: Object) -> str:
    """Apply; empty when it was accepted, else what kubectl shows."""
    done = plane.kubectl("apply", "--server-side", "-f", "-", input=made)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr.strip()


def test_the_api_server_accepts_every_crd_without_a_warning(berth_crds: ControlPlane) -> None:
    for kind in KINDS:
        conditions = berth_crds.get("crd", kind.crd_name)["status"]["conditions"]
        states = {each["type"]: each["status"] for each in conditions}
        assert states["Established"] == "True", conditions
        assert states["NamesAccepted"] == "True", conditions
        assert "NonStructuralSchema" not in states, conditions


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.title)
def test_a_bad_object_is_refused_with_the_sentence(
    berth_crds: ControlPlane, case: Refused, unique: str, namespace: str
) -> None:
    made = case.make(unique, namespace)
    done = berth_crds.kubectl("create", "-f", "-", input=made)
    assert done.stderr.strip() == shown(made["kind"], made["metadata"]["name"], *case.causes)


def _sentences(schema: dict[str, Any]) -> Iterator[str]:
    for rule in schema.get(VALIDATIONS, ()):
        # Where CEL completes the sentence with a value, the text before the value is the same.
        yield rule["message"].partition(": ")[0] if "messageExpression" in rule else rule["message"]
    for child in schema.get("properties", {}).values():
        yield from _sentences(child)
    if "items" in schema:
        yield from _sentences(schema["items"])


def test_every_sentence_of_every_rule_is_shown_by_some_case() -> None:
    messages = "\n".join([cause for case in REFUSED for cause in case.causes] + [text for *_, text in CHANGES])
    messages += "\n".join(OF_TOKENS.values())
    sentences = {sentence for kind in KINDS for sentence in _sentences(object_schema(kind))}
    assert len(sentences) > 15
    assert {sentence for sentence in sentences if sentence not in messages} == set()


CLAIM = "spec.storage.persistentVolumeClaim"
COPY = "or create a new Project and copy the images"
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "a smaller claim",
        {"storage__persistentVolumeClaim__size": "1Ti"},
        {"storage__persistentVolumeClaim__size": "1000Gi"},
        f'{CLAIM}.size: Invalid value: "1000Gi": may only grow: write 1Ti or more, or create a smaller Project and '
        "copy the images",
    ),
    (
        "another storage class",
        {"storage__persistentVolumeClaim__storageClassName": "fast"},
        {"storage__persistentVolumeClaim__storageClassName": "slow"},
        f"{CLAIM}.storageClassName: Invalid value: cannot be changed, a volume stays in its class: undo the change, "
        f"{COPY}",
    ),
    (
        "a storage class named later",
        {},
        {"storage__persistentVolumeClaim__storageClassName": "slow"},
        f"{CLAIM}.storageClassName: Invalid value: cannot be changed, a volume stays in its class: undo the change, "
        f"{COPY}",
    ),
    (
        "another access mode",
        {},
        {"storage__persistentVolumeClaim__accessMode": "ReadWriteMany"},
        f"{CLAIM}.accessMode: Invalid value: cannot be changed, a volume keeps its mode: undo the change, {COPY}",
    ),
    (
        "another path",
        {"repository": "tools/a"},
        {"repository": "tools/b"},
        "spec.repository: Invalid value: cannot be changed, image names would break: keep tools/a, or create another "
        "DockerRepository and copy the images",
    ),
    (
        "a path taken away",
        {"repository": "tools/a"},
        {},
        "spec.repository: Invalid value: cannot be changed, image names would break: keep tools/a, or create another "
        "DockerRepository and copy the images",
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "cause"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_a_change_that_would_lose_data_is_refused_with_the_sentence(
    berth_crds: ControlPlane, unique: str, namespace: str, before: dict[str, Any], after: dict[str, Any], cause: str
) -> None:
    def make(changes: dict[str, Any]) -> Object:
        of_repository = "repository" in before
        return repository(unique, namespace, **changes) if of_repository else project(unique, **changes)

    assert applied(berth_crds, make(before)) == ""
    assert applied(berth_crds, make(after)) == shown(make(before)["kind"], unique, cause)


ALLOWED_CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a larger claim", {}, {"storage__persistentVolumeClaim__size": "5121Mi"}),
    ("the same size in another unit", {}, {"storage__persistentVolumeClaim__size": "5120Mi"}),
    ("the default access mode written down", {}, {"storage__persistentVolumeClaim__accessMode": "ReadWriteOnce"}),
    ("everything else", {}, {"trashed": True, "suspend": True, "limits__layerSize": "1G", "displayName": "Other"}),
]


@pytest.mark.parametrize(
    ("before", "after"), [case[1:] for case in ALLOWED_CHANGES], ids=[case[0] for case in ALLOWED_CHANGES]
)
def test_a_project_may_change_in_every_way_that_keeps_its_data(
    berth_crds: ControlPlane, unique: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert applied(berth_crds, project(unique, **before)) == ""
    assert applied(berth_crds, project(unique, **after)) == ""


def test_a_path_may_be_written_down_where_it_was_the_name(
    berth_crds: ControlPlane, unique: str, namespace: str
) -> None:
    assert applied(berth_crds, repository(unique, namespace)) == ""
    assert applied(berth_crds, repository(unique, namespace, repository=unique)) == ""


def test_objects_with_every_field_are_accepted_and_stored_as_written(
    berth_crds: ControlPlane, unique: str, namespace: str
) -> None:
    for made in full_objects(unique, namespace):
        assert applied(berth_crds, made) == ""
        stored = berth_crds.get(made["kind"].lower(), unique, "-n", namespace)
        assert stored["spec"] == made["spec"], "the server added or dropped a written field"


def test_what_the_server_returns_is_what_the_models_read(berth_crds: ControlPlane, unique: str, namespace: str) -> None:
    for kind, made in zip(KINDS, full_objects(unique, namespace), strict=True):
        berth_crds.apply(made)
        read = kind.model.model_validate(berth_crds.get(kind.plural, unique, "-n", namespace))
        assert read.metadata.name == unique
        assert read.metadata.uid != ""
        written = read.model_dump(mode="json", by_alias=True, include={"metadata", "spec"}, exclude_none=True)
        assert kind.model.model_validate(written).model_dump(include={"spec"}) == read.model_dump(include={"spec"})


def test_server_and_models_agree_on_what_a_size_is(berth_crds: ControlPlane, unique: str) -> None:
    sizes = ["1", "50Gi", "100G", "1.5Gi", ".5Ki", "5.", "1k", "2Ei", "1E", "1e3", "1E3", "12e-1", "100m", "+3Mi"]
    others = ["Gi", "50gi", "50GiB", "1K", "1.2.3", "ten", "1e", "0x10", "0", "-1"]
    texts = [*sizes, *others]
    made = [project(f"{unique}{number}", limits__layerSize=text) for number, text in enumerate(texts)]
    created = berth_crds.kubectl("create", "--dry-run=server", "-f", "-", "-o", "name", input=made).stdout.split()
    accepted = {text for number, text in enumerate(texts) if f"project.berth.dev/{unique}{number}" in created}
    assert accepted == set(sizes) == {text for text in texts if _is_size(text)}


def _is_size(text: str) -> bool:
    try:
        return parse_quantity(text) > 0
    except ValueError:
        return False


def test_two_hundred_subjects_are_within_the_cost_that_the_server_allows(berth_crds: ControlPlane, unique: str) -> None:
    for kind, prefix, length in (("User", "", 63), ("ServiceAccount", "n" * 63 + "/", 136), ("Group", "", 200)):
        sharing = [
            {"kind": kind, "name": f"{prefix}{number:0{length}}", "level": "Administer"} for number in range(200)
        ]
        assert applied(berth_crds, project(unique, sharing=sharing)) == ""


def test_a_thousand_members_are_within_the_cost_that_the_server_allows(berth_crds: ControlPlane, unique: str) -> None:
    names = [f"{'n' * 63}/{number:0136}" for number in range(1000)]
    members = [{"kind": "ServiceAccount", "name": name} for name in names]
    assert applied(berth_crds, team(unique, members=members)) == ""


OF_TOKENS = {
    "sha256": "cannot be changed: delete this AccessToken and create another for the other secret",
    "owner": "cannot be changed: delete this AccessToken and create another for the other owner",
}


def test_a_token_keeps_its_owner_and_secret_and_may_change_else(berth_crds: ControlPlane, unique: str) -> None:
    assert applied(berth_crds, token(unique)) == ""
    for place, other in (("sha256", {"sha256": "1" * 64}), ("owner", {"owner__name": "ann"})):
        done = applied(berth_crds, token(unique, **other))
        assert done.startswith(f'The AccessToken "{unique}" is invalid: spec.{place}: Invalid value: ')
        assert done.endswith(OF_TOKENS[place])
    changed_since = token(unique, scopes=["view"], expiresAt="2027-06-30T00:00:00Z", description="old laptop")
    assert applied(berth_crds, changed_since) == ""


@pytest.mark.parametrize("make", [project, user, team, certification, token], ids=lambda make: str(make("x")["kind"]))
def test_an_object_that_was_not_reconciled_yet_says_so(berth_crds: ControlPlane, unique: str, make: Any) -> None:
    berth_crds.apply(make(unique))
    assert berth_crds.get(make(unique)["kind"].lower(), unique)["status"] == {"observedGeneration": -1}


def test_a_misspelt_field_is_refused_by_its_name(berth_crds: ControlPlane, unique: str) -> None:
    done = berth_crds.kubectl("create", "-f", "-", input=project(unique, displayname="Genomics"))
    assert done.returncode == 1
    assert 'unknown field "spec.displayname"' in done.stderr


def test_a_project_without_a_spec_is_refused(berth_crds: ControlPlane, unique: str) -> None:
    done = berth_crds.kubectl("create", "-f", "-", input=changed(project(unique), spec=REMOVED))
    assert done.stderr.strip() == shown("Project", unique, "spec: Required value")


def test_a_user_needs_nothing_but_a_name(berth_crds: ControlPlane, unique: str) -> None:
    assert applied(berth_crds, changed(user(unique), spec=REMOVED)) == ""
    assert berth_crds.get("ruser", unique)["spec"] == {}


def test_the_last_field_of_a_spec_can_be_taken_away(berth_crds: ControlPlane, unique: str) -> None:
    assert applied(berth_crds, user(unique, displayName="Ana")) == ""
    assert applied(berth_crds, user(unique)) == ""
    assert berth_crds.get("ruser", unique)["spec"] == {}
