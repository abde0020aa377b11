"""Users see whether their providers accept the keys that they stored, and when one was used last."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLE = "provider_api_keys"
STATUSES = "status IN ('testing', 'valid', 'invalid', 'unreachable')"


def upgrade() -> None:
    """Add the columns; keys that are stored already get their test from the next sweep."""
    op.add_column(TABLE, sa.Column("status", sa.String(20), server_default="testing", nullable=False))
    op.add_column(TABLE, sa.Column("tested_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(TABLE, sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(TABLE, sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_provider_api_keys_status_known"), TABLE, STATUSES)
    testing = sa.text("status = 'testing'")
    op.create_index("ix_provider_api_keys_testing", TABLE, ["updated_at"], postgresql_where=testing)
    op.create_index("ix_provider_api_keys_key_id", TABLE, ["key_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_provider_api_keys_key_id", TABLE)
    op.drop_index("ix_provider_api_keys_testing", TABLE)
    for column in ("rung_at", "last_used_at", "tested_at", "status"):
        op.drop_column(TABLE, column)
