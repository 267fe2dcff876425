"""The first schema: projects, repositories, manifests, tags, every move of a tag, and announced writes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Types are written here and not imported, because a released migration must never change.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def _text(length: int) -> sa.String:
    plain: sa.String = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return plain


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "projects",
        sa.Column("id", _text(64), nullable=False),
        sa.Column("in_sync", sa.Boolean),
        sa.Column("sync_reason", sa.String(64), nullable=False),
        sa.Column("sync_message", sa.String(1024), nullable=False),
        sa.Column("walked_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    _create_repositories()
    _create_manifests()
    _create_tags()
    _create_writes()


def downgrade() -> None:
    """Drop every table, children first."""
    for table in ("writes", "tag_events", "tags", "manifests", "repositories", "projects"):
        op.drop_table(table)


def _create_repositories() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("project", _text(64), nullable=False),
        sa.Column("path", _text(255), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("object_due", sa.Boolean, nullable=False),
        sa.Column("last_push_tag", _text(128)),
        sa.Column("last_push_digest", _text(135)),
        sa.Column("last_push_at", _TIME),
        sa.Column("last_push_by", _text(253)),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_repositories_project"),
        sa.PrimaryKeyConstraint("id", name="pk_repositories"),
        sa.UniqueConstraint("project", "path", name="uq_repositories_project_path"),
    )


def _create_manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("repository_id", _NUMBER, nullable=False),
        sa.Column("digest", _text(135), nullable=False),
        sa.Column("media_type", _text(255), nullable=False),
        sa.Column("artifact_type", _text(255)),
        sa.Column("manifest_size", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("subject", _text(135)),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("pushed_at", _TIME, nullable=False),
        sa.Column("pushed_by", _text(253), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name="fk_manifests_repository_id"),
        sa.PrimaryKeyConstraint("id", name="pk_manifests"),
        sa.UniqueConstraint("repository_id", "digest", name="uq_manifests_repository_id_digest"),
    )
    op.create_index("ix_manifests_repository_id_subject", "manifests", ["repository_id", "subject"])


def _create_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("repository_id", _NUMBER, nullable=False),
        sa.Column("name", _text(128), nullable=False),
        sa.Column("digest", _text(135), nullable=False),
        sa.Column("pushed_at", _TIME, nullable=False),
        sa.Column("pushed_by", _text(253), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name="fk_tags_repository_id"),
        sa.PrimaryKeyConstraint("repository_id", "name", name="pk_tags"),
    )
    op.create_index("ix_tags_repository_id_digest", "tags", ["repository_id", "digest"])
    op.create_index("ix_tags_repository_id_pushed_at", "tags", ["repository_id", "pushed_at"])
    op.create_table(
        "tag_events",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("repository_id", _NUMBER, nullable=False),
        sa.Column("tag", _text(128), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", _text(253), nullable=False),
        sa.Column("client", _text(256), nullable=False),
        sa.Column("from_digest", _text(135)),
        sa.Column("to_digest", _text(135)),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name="fk_tag_events_repository_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tag_events"),
    )
    op.create_index("ix_tag_events_repository_id_tag_id", "tag_events", ["repository_id", "tag", "id"])


def _create_writes() -> None:
    op.create_table(
        "writes",
        sa.Column("id", _text(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("project", _text(64), nullable=False),
        sa.Column("repository", _text(255), nullable=False),
        sa.Column("reference", _text(135), nullable=False),
        sa.Column("digest", _text(135)),
        sa.Column("media_type", _text(255), nullable=False),
        sa.Column("by", _text(253), nullable=False),
        sa.Column("client", _text(256), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("settled_at", _TIME),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("doubtful", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_writes"),
    )
    op.create_index("ix_writes_project_repository_reference", "writes", ["project", "repository", "reference"])
    op.create_index("ix_writes_state_created_at", "writes", ["state", "created_at"])
