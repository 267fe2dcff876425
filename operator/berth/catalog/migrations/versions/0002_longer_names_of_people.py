"""Names of who pushed may be as long as those of ServiceAccounts: a namespace, a slash and a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BEFORE = 253
_AFTER = 320
# Table, column, and whether it may be empty.
_COLUMNS = (
    ("repositories", "last_push_by", True),
    ("manifests", "pushed_by", False),
    ("tags", "pushed_by", False),
    ("tag_events", "by", False),
    ("writes", "by", False),
)


def _text(length: int) -> sa.String:
    plain: sa.String = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return plain


def upgrade() -> None:
    """Widen every column that holds such a name."""
    _resize(_BEFORE, _AFTER)


def downgrade() -> None:
    """Narrow them again. Fails on PostgreSQL without any change when a longer name exists."""
    _resize(_AFTER, _BEFORE)


def _resize(before: int, after: int) -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # SQLite stores texts of any length; changing the declaration would copy each table
    for table, column, nullable in _COLUMNS:
        op.alter_column(table, column, existing_type=_text(before), type_=_text(after), existing_nullable=nullable)
