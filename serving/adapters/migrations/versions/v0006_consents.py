"""Consents, identities, decisions that crossed experiment arms, and tombstones of erased customers.

The ledger of consents is appended to: a row is never changed. An empty `channel` stands for every channel, 0
as `valid_to` for no end. What identifies somebody stands as a keyed hash; whose it is, is sealed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables; a customer's consents lie together, so that a decision reads one place."""
    op.create_table(
        "consents",
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("purpose", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("valid_from", sa.BigInteger, primary_key=True),
        sa.Column("status", sa.Text, primary_key=True),
        sa.Column("valid_to", sa.BigInteger, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("known_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identities",
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value_ref", sa.Text, primary_key=True),
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("profile_ref", sa.Text, nullable=False),
        sa.Column("sealed_customer", sa.LargeBinary, nullable=False),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("identities_of_customer", "identities", ["customer_ref", "linked_at"])
    op.create_table(
        "crossed_decisions",
        sa.Column("decision_id", sa.Text, primary_key=True),
        sa.Column("customer_ref", sa.Text, nullable=False),
        sa.Column("profile_ref", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("crossed_of_customer", "crossed_decisions", ["customer_ref", "profile_ref"])
    op.create_table(
        "tombstones",
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("tombstone_id", sa.Text, nullable=False, unique=True),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.Column("pending", sa.LargeBinary),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables, and with them every consent and the memory of who was erased."""
    for table in ("tombstones", "crossed_decisions", "identities", "consents"):
        op.drop_table(table)
