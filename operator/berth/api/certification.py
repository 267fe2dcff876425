"""`Certification`: somebody may push. A kind of its own, so that RBAC can give "may certify" to some people alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel, Resource, Time
from berth.api.schema import rules
from berth.api.status import ObjectStatus
from berth.api.subjects import SubjectName, name_rules


class CertificationSubjectKind(StrEnum):
    """Kinds of subjects that can be certified."""

    USER = "User"
    ROBOT = "Robot"
    SERVICE_ACCOUNT = "ServiceAccount"


class CertificationSubject(ApiModel):
    """Who is certified."""

    model_config = ConfigDict(json_schema_extra=rules(*name_rules(CertificationSubjectKind)))

    kind: Annotated[
        CertificationSubjectKind,
        Field(
            description="User or Robot: a RegistryUser of that type. ServiceAccount: one of the cluster. No default."
        ),
    ]
    name: Annotated[
        SubjectName,
        Field(description="metadata.name of the RegistryUser, or namespace/name of the ServiceAccount. No default."),
    ]


class CertificationSpec(ApiModel):
    """Who is certified, by whom, on what evidence, until when."""

    subject: Annotated[CertificationSubject, Field(description="Who is certified. No default.")]
    certified_by: Annotated[
        str, Field(min_length=1, max_length=253, description="Person or office that certified. No default.")
    ]
    evidence: Annotated[
        str | None, Field(max_length=1000, description="Where the proof is, usually an address. Default: none.")
    ] = None
    valid_until: Annotated[
        Time | None,
        Field(description="First moment at which it no longer holds, RFC 3339. Default: until the object is deleted."),
    ] = None


class CertificationStatus(ObjectStatus):
    """Whether the certification holds."""


class Certification(Resource):
    """A certification to push. Certification gates push alone, never pull."""

    kind: Literal["Certification"] = "Certification"
    spec: Annotated[CertificationSpec, Field(description="Who is certified, by whom, on what evidence, until when.")]
    status: Annotated[CertificationStatus, Field(description="Whether it holds; written by Berth alone.")] = (
        CertificationStatus()
    )
