"""The ledger of the life of models, and what verifies the signatures of people's keys."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_REFUSED = "nothing is changed in the ledger of models; what was done stands, the next act may undo it"


def upgrade() -> None:
    """Make the ledger, to which entries are added and nothing else, and the head that says where it ends."""
    op.add_column("key_secrets", sa.Column("public_key", sa.LargeBinary))
    op.create_table(
        "life_entries",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
    )
    # A chain alone does not tell when its last links were taken off
    op.create_table(
        "life_head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER life_entries_no_{act.lower()} BEFORE {act} ON life_entries "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )
    # Not by REPLACE either, which deletes without asking the trigger above
    op.execute(
        "CREATE TRIGGER life_entries_in_order BEFORE INSERT ON life_entries "  # noqa: S608 - a name, and our words
        "WHEN new.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM life_entries) "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
    )


def downgrade() -> None:
    """Drop the ledger: what was done to models, and by whom, is lost."""
    op.drop_table("life_head")
    op.drop_table("life_entries")
    op.drop_column("key_secrets", "public_key")
