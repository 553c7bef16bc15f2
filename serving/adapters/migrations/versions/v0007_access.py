"""Several secrets a key, keys that end, keys of people, and how much a key may ask."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Move the secrets out of the table of keys, which is made anew: SQLite drops no unique column."""
    op.create_table(
        "key_secrets",
        sa.Column("secret_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        # A day, not an instant: enough to find keys nobody uses, too little to follow anybody
        sa.Column("last_used_on", sa.Text),
    )
    op.create_index("secrets_of_key", "key_secrets", ["key_id", "created_at"])
    op.execute(
        "INSERT INTO key_secrets (secret_sha256, key_id, created_at) "
        "SELECT secret_sha256, key_id, created_at FROM api_keys"
    )
    op.rename_table("api_keys", "api_keys_0006")
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("bounds", sa.Text),
        sa.Column("person", sa.Text),
        sa.Column("role", sa.Text),
    )
    op.execute(
        "INSERT INTO api_keys (key_id, label, mode, scopes, channel, created_at, revoked_at) "
        "SELECT key_id, label, mode, scopes, channel, created_at, revoked_at FROM api_keys_0006"
    )
    op.drop_table("api_keys_0006")


def downgrade() -> None:
    """Go back to one secret a key: the newest. Whose a key was, and its bounds and end, are lost."""
    op.rename_table("api_keys", "api_keys_0007")
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
    op.execute(
        "INSERT INTO api_keys "
        "SELECT key_id, (SELECT secret_sha256 FROM key_secrets s WHERE s.key_id = k.key_id "
        "ORDER BY created_at DESC LIMIT 1), label, mode, scopes, channel, created_at, revoked_at "
        "FROM api_keys_0007 k"
    )
    op.drop_table("api_keys_0007")
    op.drop_index("secrets_of_key")
    op.drop_table("key_secrets")
