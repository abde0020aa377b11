"""A message about credits that an administrator gave or took."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

KINDS = (
    "'purchase', 'payment_failed', 'invoice_upcoming', 'run_finished', 'low_balance', 'approval_needed',"
    " 'password_reset', 'password_changed', 'email_changed'"
)
NEW = "'credits_adjusted'"


def upgrade() -> None:
    """Add the kind."""
    _allow(f"{KINDS}, {NEW}")


def downgrade() -> None:
    """Forget the messages of this kind."""
    op.execute(f"DELETE FROM notifications WHERE kind IN ({NEW})")  # noqa: S608  # a constant
    _allow(KINDS)


def _allow(kinds: str) -> None:
    op.execute("ALTER TABLE notifications DROP CONSTRAINT ck_notifications_kind_known")
    op.execute(f"ALTER TABLE notifications ADD CONSTRAINT ck_notifications_kind_known CHECK (kind IN ({kinds}))")
