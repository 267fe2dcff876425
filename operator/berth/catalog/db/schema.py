"""The tables of the catalog. A change here needs a migration; a test compares the two.

Names are compared byte by byte on both databases, so that order and paging do not depend on the server's locale.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    and_,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from berth.catalog.model import Cause, RepositoryKey, WriteKind, WriteState

DIGEST_LENGTH: Final = 135  # sha512: and 128 hexadecimal digits
TAG_LENGTH: Final = 128
PATH_LENGTH: Final = 255
PERSON_LENGTH: Final = 320  # as in statuses; 63, a slash and 253 for a ServiceAccount
_PERSON_LENGTH_ON_SQLITE: Final = 253
MEDIA_TYPE_LENGTH: Final = 255
CLIENT_LENGTH: Final = 256


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC. SQLite stores no time zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC. Raises ValueError for a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be recorded")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The same time, aware."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def text(length: int) -> String:
    """A string that is compared byte by byte."""
    plain: String = String(length).with_variant(String(length, collation="C"), "postgresql")
    return plain


def person() -> String:
    """The name of a person or account.

    SQLite ignores the declared length. The old one stays declared there, because changing it would copy every table.
    """
    return text(PERSON_LENGTH).with_variant(String(_PERSON_LENGTH_ON_SQLITE), "sqlite")


def word(kind: type[StrEnum]) -> Enum:
    """One value of an enum, stored as text."""
    return Enum(
        kind, native_enum=False, length=16, values_callable=lambda members: [member.value for member in members]
    )


NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite auto-increments INTEGER keys only


class Base(DeclarativeBase):
    """Base of all tables. Constraints have names, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ProjectRow(Base):
    """A project with recorded content, and the result of its latest walk."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(text(64), primary_key=True)
    in_sync: Mapped[bool | None] = mapped_column(Boolean)
    sync_reason: Mapped[str] = mapped_column(String(64), default="")
    sync_message: Mapped[str] = mapped_column(String(1024), default="")
    walked_at: Mapped[datetime | None] = mapped_column(UtcTime)


class RepositoryRow(Base):
    """A repository. `object_due`: a push was recorded and the repository's object was not created since."""

    __tablename__ = "repositories"
    __table_args__ = (UniqueConstraint("project", "path"),)

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    project: Mapped[str] = mapped_column(text(64), ForeignKey("projects.id"))
    path: Mapped[str] = mapped_column(text(PATH_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    object_due: Mapped[bool] = mapped_column(Boolean, default=True)
    last_push_tag: Mapped[str | None] = mapped_column(text(TAG_LENGTH))
    last_push_digest: Mapped[str | None] = mapped_column(text(DIGEST_LENGTH))
    last_push_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_push_by: Mapped[str | None] = mapped_column(person())

    @classmethod
    def has_key(cls, key: RepositoryKey) -> ColumnElement[bool]:
        """Condition on the repository's project and path."""
        return and_(cls.project == key.project, cls.path == key.path)


class ManifestRow(Base):
    """A manifest in the registry. `size` includes everything it references, `manifest_size` is its own."""

    __tablename__ = "manifests"
    __table_args__ = (UniqueConstraint("repository_id", "digest"), Index(None, "repository_id", "subject"))

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    repository_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("repositories.id"))
    digest: Mapped[str] = mapped_column(text(DIGEST_LENGTH))
    media_type: Mapped[str] = mapped_column(text(MEDIA_TYPE_LENGTH))
    artifact_type: Mapped[str | None] = mapped_column(text(MEDIA_TYPE_LENGTH))
    manifest_size: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    subject: Mapped[str | None] = mapped_column(text(DIGEST_LENGTH))
    annotations: Mapped[dict[str, Any]] = mapped_column(JSON)
    pushed_at: Mapped[datetime] = mapped_column(UtcTime)
    pushed_by: Mapped[str] = mapped_column(person())


class TagRow(Base):
    """A present tag."""

    __tablename__ = "tags"
    __table_args__ = (Index(None, "repository_id", "digest"), Index(None, "repository_id", "pushed_at"))

    repository_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("repositories.id"), primary_key=True)
    name: Mapped[str] = mapped_column(text(TAG_LENGTH), primary_key=True)
    digest: Mapped[str] = mapped_column(text(DIGEST_LENGTH))
    pushed_at: Mapped[datetime] = mapped_column(UtcTime)
    pushed_by: Mapped[str] = mapped_column(person())


class TagEventRow(Base):
    """One move of a tag. Append-only."""

    __tablename__ = "tag_events"
    __table_args__ = (Index(None, "repository_id", "tag", "id"),)

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    repository_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("repositories.id"))
    tag: Mapped[str] = mapped_column(text(TAG_LENGTH))
    at: Mapped[datetime] = mapped_column(UtcTime)
    by: Mapped[str] = mapped_column(person())
    client: Mapped[str] = mapped_column(text(CLIENT_LENGTH))
    from_digest: Mapped[str | None] = mapped_column(text(DIGEST_LENGTH))
    to_digest: Mapped[str | None] = mapped_column(text(DIGEST_LENGTH))
    cause: Mapped[Cause] = mapped_column(word(Cause))


class WriteRow(Base):
    """An announced write of one reference, open or recently settled."""

    __tablename__ = "writes"
    __table_args__ = (Index(None, "project", "repository", "reference"), Index(None, "state", "created_at"))

    id: Mapped[str] = mapped_column(text(64), primary_key=True)
    kind: Mapped[WriteKind] = mapped_column(word(WriteKind))
    project: Mapped[str] = mapped_column(text(64))
    repository: Mapped[str] = mapped_column(text(PATH_LENGTH))
    reference: Mapped[str] = mapped_column(text(DIGEST_LENGTH))
    digest: Mapped[str | None] = mapped_column(text(DIGEST_LENGTH))
    media_type: Mapped[str] = mapped_column(text(MEDIA_TYPE_LENGTH))
    by: Mapped[str] = mapped_column(person())
    client: Mapped[str] = mapped_column(text(CLIENT_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    state: Mapped[WriteState] = mapped_column(word(WriteState))
    doubtful: Mapped[bool] = mapped_column(Boolean, default=False)
