"""`DockerRepository`: one repository of a project, applied by a person or created by the first push."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel, Resource, Time
from berth.api.names import REPOSITORY_MAX_LENGTH
from berth.api.schema import ATOMIC, Digest, RepositoryPath, TagName, keyed_by, matching, rule, rules
from berth.api.sharing import Share, sharing_field
from berth.api.status import ObjectStatus

STATUS_TAGS_MAX_ITEMS: Final = 30
EXTERNAL_TAGS_MAX_ITEMS: Final = 200

ImageName = Annotated[
    str,
    matching(
        r"^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9._-]+)+$",
        "must be an image with its registry and without tag, for example example.org/tools/aligner: "
        "write the tags in external.tags",
        max_length=400,
    ),
]

_EFFECTIVE_PATH = "(has({0}.spec.repository) ? {0}.spec.repository : {0}.metadata.name)"


class ExternalTag(ApiModel):
    """A tag of an image that is hosted in another registry."""

    name: Annotated[TagName, Field(description="The tag. No default.")]
    digest: Annotated[Digest, Field(description="Digest of its manifest, sha256:… or sha512:…. No default.")]


class External(ApiModel):
    """An image that is catalogued here and hosted in another registry."""

    image: Annotated[
        ImageName,
        Field(
            description="Name of the image with its registry and without tag (example.org/tools/aligner). No default.",
        ),
    ]
    tags: Annotated[
        tuple[ExternalTag, ...],
        Field(
            max_length=EXTERNAL_TAGS_MAX_ITEMS,
            description="Tags that are catalogued. Default: none.",
            json_schema_extra=keyed_by("name"),
        ),
    ] = ()


class DockerRepositorySpec(ApiModel):
    """The desired state of a repository."""

    repository: Annotated[
        RepositoryPath | None,
        Field(
            description="Path below the project, for example tools/aligner; cannot be changed. Default: metadata.name."
        ),
    ] = None
    description: Annotated[
        str | None, Field(max_length=2000, description="Content of the repository, in plain text. Default: none.")
    ] = None
    local_sharing: Annotated[
        tuple[Share, ...] | None,
        sharing_field(
            "Sharing of this repository alone. If present, even empty, it replaces the project's sharing; the two "
            "never merge. Default: absent, the project's sharing applies."
        ),
    ] = None
    trashed: Annotated[
        bool,
        Field(
            description="Move the repository to the trash: every operation is refused, nothing is lost, false "
            "restores. Default: false."
        ),
    ] = False
    external: Annotated[
        External | None,
        Field(
            description="Catalogue an image that is hosted in another registry; pushes are refused. "
            "Default: hosted here."
        ),
    ] = None


class TagStatus(ApiModel):
    """The observed state of a tag."""

    name: Annotated[str, Field(max_length=128, description="The tag.")]
    digest: Annotated[str, Field(max_length=135, description="Digest of the manifest that the tag points to.")]
    media_type: Annotated[
        str | None, Field(max_length=255, description="Media type of the manifest. Absent: not known.")
    ] = None
    size: Annotated[
        str | None,
        Field(
            max_length=32,
            description="Size of all content of the manifest, in bytes as a rounded quantity. Absent: not known.",
        ),
    ] = None
    pushed_at: Annotated[
        Time | None, Field(description="When the tag was last moved, RFC 3339. Absent: not known.")
    ] = None
    pushed_by: Annotated[str | None, Field(max_length=320, description="Subject that moved it. Absent: not known.")] = (
        None
    )


class LastPush(ApiModel):
    """The newest push."""

    tag: Annotated[str | None, Field(max_length=128, description="The tag. Absent: pushed by digest.")] = None
    digest: Annotated[str, Field(max_length=135, description="Digest of the manifest.")]
    at: Annotated[Time, Field(description="Time of the push, RFC 3339.")]
    by: Annotated[str | None, Field(max_length=320, description="Subject that pushed. Absent: not known.")] = None


class DockerRepositoryStatus(ObjectStatus):
    """The observed state of a repository."""

    address: Annotated[
        str | None, Field(max_length=600, description="Name to pull and push, without tag. Absent: not known yet.")
    ] = None
    tags: Annotated[
        tuple[TagStatus, ...],
        Field(
            max_length=STATUS_TAGS_MAX_ITEMS,
            description=f"The newest {STATUS_TAGS_MAX_ITEMS} tags, last moved first; the catalog has all. "
            "Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = ()
    tag_count: Annotated[int | None, Field(ge=0, description="Number of tags. Absent: not counted yet.")] = None
    digest_count: Annotated[
        int | None, Field(ge=0, description="Number of manifests, untagged ones too. Absent: not counted yet.")
    ] = None
    last_push: Annotated[LastPush | None, Field(description="The newest push. Absent: none yet.")] = None


class DockerRepository(Resource):
    """One repository of a project, in the project's namespace."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"has(self.spec.repository) || size(self.metadata.name) <= {REPOSITORY_MAX_LENGTH}",
                f"is the path when spec.repository is absent: use at most {REPOSITORY_MAX_LENGTH} characters",
                at=".metadata.name",
            ),
            rule(
                f"{_EFFECTIVE_PATH.format('self')} == {_EFFECTIVE_PATH.format('oldSelf')}",
                "cannot be changed, image names would break: keep it, or create another DockerRepository and copy the "
                "images",
                message_expression=f"""'cannot be changed, image names would break: keep '
                   + {_EFFECTIVE_PATH.format("oldSelf")} + ', or create another
                   DockerRepository and copy the images'""",
                at=".spec.repository",
            ),
        )
    )

    kind: Literal["DockerRepository"] = "DockerRepository"
    spec: Annotated[
        DockerRepositorySpec, Field(description="The desired state of the repository. Default: all defaults.")
    ] = DockerRepositorySpec()
    status: Annotated[
        DockerRepositoryStatus, Field(description="The observed state of the repository; written by Berth alone.")
    ] = DockerRepositoryStatus()

    @property
    def path(self) -> str:
        """The repository's path below its project."""
        return self.spec.repository or self.metadata.name
