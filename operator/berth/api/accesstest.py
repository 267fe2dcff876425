"""`AccessTest`: expectations about the policy of the manifests beside it. A file; never applied to a cluster.

Read by `kubectl berth policy test`. Not a kind of the API server: it has no CRD.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from berth.api.base import ApiModel, Resource, Time
from berth.api.names import PATH_COMPONENT_PATTERN
from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.subjects import FORMS, SubjectName, well_named
from berth.api.token import TokenScope

IMAGE_PATTERN: Final = (
    rf"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(?:/{PATH_COMPONENT_PATTERN})*"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha(256|512):[a-f0-9]+)?$"
)
"""`project`, `project/repository`, with a tag or a digest, or both; without the host."""


class TestSubjectKind(StrEnum):
    """Kinds of subjects that can log in. A team cannot: test one of its members."""

    USER = "User"
    ROBOT = "Robot"
    SERVICE_ACCOUNT = "ServiceAccount"
    GROUP = "Group"
    AUTHENTICATED_USERS = "AuthenticatedUsers"
    PUBLIC = "Public"


class TestSubject(ApiModel):
    """The subject whose access is tested."""

    kind: Annotated[
        TestSubjectKind,
        Field(
            description="User, Robot, ServiceAccount; Group: a login that is in the group and has no other name; "
            "AuthenticatedUsers: a login that no rule names; Public: no login. No default."
        ),
    ]
    name: Annotated[
        SubjectName | None, Field(description="Name of the subject. Absent for AuthenticatedUsers and Public.")
    ] = None

    @model_validator(mode="after")
    def _named(self) -> TestSubject:
        if well_named(self.kind.value, self.name):
            return self
        form = FORMS.get(self.kind.value)
        raise ValueError(f"kind {self.kind} needs {f'a name: write {form.what}' if form else 'no name: remove it'}")


class Expectation(ApiModel):
    """One expected decision."""

    subject: Annotated[TestSubject, Field(description="The subject whose access is tested. No default.")]
    scopes: Annotated[
        tuple[TokenScope, ...] | None,
        Field(min_length=1, description="Scopes of the token that is used. Default: all of them, as with a password."),
    ] = None
    action: Annotated[Action, Field(description="view, pull, push, delete or administer. No default.")]
    image: Annotated[
        str,
        Field(
            pattern=IMAGE_PATTERN,
            max_length=600,
            description="project/repository, with or without a tag or digest, without the host; the project alone for "
            "view and administer. No default.",
        ),
    ]
    allowed: Annotated[bool, Field(description="Whether it should be allowed. No default.")]
    reason: Annotated[Reason | None, Field(description="With allowed: false, the expected reason. Default: any.")] = (
        None
    )

    @model_validator(mode="after")
    def _reason_of_a_refusal(self) -> Expectation:
        if self.allowed and self.reason is not None:
            raise ValueError("an expectation that is allowed has no reason: remove it, or write allowed: false")
        return self

    @property
    def name(self) -> tuple[str, str]:
        """Project and repository path of the image; the path is empty for a project."""
        path = self.image.partition("@")[0]
        head, slash, last = path.rpartition("/")
        project, _, repository = f"{head}{slash}{last.partition(':')[0]}".partition("/")
        return project, repository


class AccessTestSpec(ApiModel):
    """The expectations, and the time they apply to."""

    at: Annotated[Time | None, Field(description="Time of the decisions, RFC 3339. Default: now.")] = None
    expect: Annotated[tuple[Expectation, ...], Field(min_length=1, description="The expectations. No default.")]


class AccessTest(Resource):
    """Expectations about the policy of the manifests beside it."""

    kind: Literal["AccessTest"] = "AccessTest"
    spec: Annotated[AccessTestSpec, Field(description="The expectations, and the time they apply to.")]
