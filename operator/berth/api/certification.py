"""`Certification`: the permission to push. A separate kind, so that RBAC can grant "may certify" separately."""

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
    """The certified subject."""

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
    """The certified subject, the certifier, the evidence and the end."""

    subject: Annotated[CertificationSubject, Field(description="The certified subject. No default.")]
    certified_by: Annotated[
        str,
        Field(min_length=1, max_length=253, description="Person or office that issued the certification. No default."),
    ]
    evidence: Annotated[
        str | None, Field(max_length=1000, description="Where the evidence is, usually a URL. Default: none.")
    ] = None
    valid_until: Annotated[
        Time | None,
        Field(
            description="First time at which the certification is no longer valid, RFC 3339. "
            "Default: valid until the object is deleted."
        ),
    ] = None


class CertificationStatus(ObjectStatus):
    """The state of a certification."""


class Certification(Resource):
    """A certification to push. Certification applies to pushes alone, never to pulls."""

    kind: Literal["Certification"] = "Certification"
    spec: Annotated[
        CertificationSpec, Field(description="The certified subject, the certifier, the evidence and the end.")
    ]
    status: Annotated[
        CertificationStatus, Field(description="The state of the certification; written by Berth alone.")
    ] = CertificationStatus()
