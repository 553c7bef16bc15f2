"""Contacts, their outcomes, versions of customers, linked identities, and what is used of budgets.

Whoever erases a customer finds them by `customer_ref` (and `other_ref` of a link). Money is in millionths of
the catalogue's currency; days are those since 0001-01-01, 0 stands for all days together.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables and what finds one customer's rows."""
    op.create_table(
        "contacts",
        sa.Column("tracking_id", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("customer_ref", sa.Text),
        sa.Column("action_id", sa.Text, nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("issue", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text),
        sa.Column("mandatory", sa.Integer, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("reserved_until", sa.BigInteger, nullable=False),
        sa.Column("presented_at", sa.BigInteger),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("recorded_late", sa.Integer, nullable=False, server_default="0"),
        sa.Column("matters_until", sa.BigInteger, nullable=False),
        sa.Column("charge_day", sa.Integer),
        sa.Column("charge_cost", sa.BigInteger),
        sa.Column("charge_state", sa.Text),
    )
    op.create_index("contacts_of_customer", "contacts", ["customer_ref", "mode", "matters_until"])
    op.create_index(
        "held_charges",
        "contacts",
        ["mode", "reserved_until"],
        sqlite_where=sa.text("charge_state = 'held'"),
        postgresql_where=sa.text("charge_state = 'held'"),
    )
    op.create_table(
        "outcomes",
        sa.Column("tracking_id", sa.Text, primary_key=True),
        sa.Column("outcome_id", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("customer_ref", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_at", sa.BigInteger, nullable=False),
    )
    op.create_index("outcomes_of_customer", "outcomes", ["customer_ref", "mode", "occurred_at"])
    op.create_table(
        "contact_versions",
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("latest_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_links",
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("other_ref", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "used_amounts",
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("action_id", sa.Text, primary_key=True),
        sa.Column("budget", sa.BigInteger, nullable=False),
        sa.Column("volume", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables, and with them every limit's memory."""
    for table in ("used_amounts", "identity_links", "contact_versions", "outcomes", "contacts"):
        op.drop_table(table)
