"""Customers' keys; records that are found by references alone.

What was written before stood in clear and cannot be sealed afterwards: it is removed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_IN_CLEAR = ("decisions", "contacts", "outcomes", "contact_versions", "identity_links")


def upgrade() -> None:
    """Create the tables of keys; let decisions be found by customer and time, and by a hidden request id."""
    for table in _IN_CLEAR:
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - the names above
    op.create_table(
        "customer_keys",
        sa.Column("customer_ref", sa.Text, primary_key=True),
        sa.Column("wrapped_key", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vault_checks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("secret_check", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "decision_versions",
        sa.Column("version_id", sa.Integer, primary_key=True),
        sa.Column("versions", sa.Text, nullable=False, unique=True),
    )
    op.drop_index("decisions_of_customer", "decisions")
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_constraint("one_answer_per_request", type_="unique")
        decisions.drop_column("request_id")
        decisions.drop_column("request_sha256")
        decisions.add_column(sa.Column("request_ref", sa.Text))
        decisions.add_column(sa.Column("received_at", sa.BigInteger, nullable=False))
        decisions.add_column(sa.Column("version_id", sa.Integer, nullable=False))
        decisions.add_column(sa.Column("offered", sa.Text, nullable=False, server_default="[]"))
        decisions.create_unique_constraint("one_answer_per_request", ["request_ref"])
    op.create_index(
        "decisions_of_customer", "decisions", ["customer_ref", "mode", "decided_at", "decision_id"]
    )
    op.create_index("decisions_by_age", "decisions", ["mode", "received_at"])
    op.create_index("decisions_by_version", "decisions", ["version_id"])
    kept = sa.text("personal IS NOT NULL")
    op.create_index(
        "personal_by_age", "decisions", ["mode", "received_at"], sqlite_where=kept, postgresql_where=kept
    )


def downgrade() -> None:
    """Forget the keys, and with them all that was sealed."""
    for table in _IN_CLEAR:
        op.execute(f"DELETE FROM {table}")  # noqa: S608
    for index in ("personal_by_age", "decisions_by_version", "decisions_by_age"):
        op.drop_index(index, "decisions")
    op.drop_index("decisions_of_customer", "decisions")
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_constraint("one_answer_per_request", type_="unique")
        for column in ("offered", "version_id", "received_at", "request_ref"):
            decisions.drop_column(column)
        decisions.add_column(sa.Column("request_id", sa.Text))
        decisions.add_column(sa.Column("request_sha256", sa.LargeBinary, nullable=False))
        decisions.create_unique_constraint("one_answer_per_request", ["key_id", "request_id"])
    op.create_index("decisions_of_customer", "decisions", ["customer_ref", "sequence"])
    op.drop_table("decision_versions")
    op.drop_table("vault_checks")
    op.drop_table("customer_keys")
