"""API keys and decision records.

Instants are microseconds since 1970, UTC: the same order and meaning in every database.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
    )
    op.create_table(
        "decisions",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("decision_id", sa.Text, nullable=False, unique=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("request_sha256", sa.LargeBinary, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("customer_ref", sa.Text),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("personal", sa.LargeBinary),
        sa.UniqueConstraint("key_id", "request_id", name="one_answer_per_request"),
    )
    op.create_index("decisions_of_customer", "decisions", ["customer_ref", "sequence"])


def downgrade() -> None:
    """Drop both tables, and with them every record."""
    op.drop_table("decisions")
    op.drop_table("api_keys")
