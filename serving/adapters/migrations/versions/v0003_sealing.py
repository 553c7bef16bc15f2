"""Customers' keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
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


def downgrade() -> None:
    """Forget the keys, and with them all that was sealed."""
    op.drop_table("vault_checks")
    op.drop_table("customer_keys")
