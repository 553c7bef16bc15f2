"""One index in place of three that only retention asks: each cost every decision a page of the log."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_BEFORE = {"decisions_by_age": ["mode", "received_at"], "decisions_by_version": ["version_id"]}


def upgrade() -> None:
    """Let one index count the records of a version, and find what is due: with what is personal, or without.

    To make it every record is read once.
    """
    for index in (*_BEFORE, "personal_by_age"):
        op.drop_index(index, "decisions")
    personal = sa.text("(personal IS NOT NULL)")
    op.create_index("decisions_by_age", "decisions", ["version_id", "mode", personal, "received_at"])


def downgrade() -> None:
    """Make the three again; nothing is lost."""
    op.drop_index("decisions_by_age", "decisions")
    for index, columns in _BEFORE.items():
        op.create_index(index, "decisions", columns)
    kept = sa.text("personal IS NOT NULL")
    op.create_index(
        "personal_by_age", "decisions", ["mode", "received_at"], sqlite_where=kept, postgresql_where=kept
    )
