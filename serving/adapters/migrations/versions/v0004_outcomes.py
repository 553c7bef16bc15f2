"""What was reported of offers, each report once, whether or not its decision is known yet.

A report names no customer: its decision does. `event_ref` is a keyed hash of the reporter's own id. `mode`,
`channel` and `key_id` are the reporter's; a browser has none. `state` is `counted`, `waiting` for its
decision, or `foreign`: the decision came, and was not the reporter's to report on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table; its key keeps the reports of one decision together."""
    op.create_table(
        "outcome_reports",
        sa.Column("decision_id", sa.Text, primary_key=True),
        sa.Column("tracking_id", sa.Text, primary_key=True),
        sa.Column("event_ref", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("reported_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("late", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("mode", sa.Text),
        sa.Column("channel", sa.Text),
        sa.Column("key_id", sa.Text),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it, and with it every outcome."""
    op.drop_table("outcome_reports")
