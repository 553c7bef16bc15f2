"""What challengers said beside decisions they did not make."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table; whatever is in it is of no person, and goes with the record of its decision."""
    op.create_table(
        "shadows",
        sa.Column("decision_id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("told", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("shadows_of_challenger", "shadows", ["model", "digest", "decision_id"])


def downgrade() -> None:
    """Drop it: what challengers said is lost."""
    op.drop_index("shadows_of_challenger")
    op.drop_table("shadows")
