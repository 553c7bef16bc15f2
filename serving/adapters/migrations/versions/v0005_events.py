"""The journal of events and the state folded from it.

Whose an event is stands as a keyed hash (`customer_ref`), what it tells is sealed. `position` of a state is
the newest event folded into it, `pushed_position` the newest that is known to be in the online store.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create both tables, and what finds the states that are still to be pushed."""
    op.create_table(
        "events",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("event_ref", sa.Text, nullable=False),
        sa.Column("customer_ref", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("mode", "event_ref", name="one_event_per_id"),
        # Positions of erased events are never given again
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_customer", "events", ["customer_ref", "mode", "position"])
    op.create_table(
        "realtime_states",
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("pushed_position", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "states_to_push",
        "realtime_states",
        ["position"],
        sqlite_where=sa.text("pushed_position < position"),
        postgresql_where=sa.text("pushed_position < position"),
    )


def downgrade() -> None:
    """Drop both tables, and with them every event taken."""
    op.drop_table("realtime_states")
    op.drop_table("events")
