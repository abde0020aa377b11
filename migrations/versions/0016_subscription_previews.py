"""Requests for what a change of the plan would cost."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NAME = "ck_stripe_requests_kind_known"
BEFORE = (
    *("purchase", "subscription_create", "subscription_update", "subscription_cancel", "subscription_resume"),
    *("payment_method_add", "payment_method_default", "payment_method_remove"),
    *("account_close", "purchase_cancel", "customer_update"),
)


def upgrade() -> None:
    """Allow the new kind."""
    _allow((*BEFORE, "subscription_preview"))


def _allow(kinds: tuple[str, ...]) -> None:
    """Replace the constraint; rows that are there are checked without a lock that blocks others."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.execute(f"ALTER TABLE stripe_requests DROP CONSTRAINT {NAME}")
    op.execute(f"ALTER TABLE stripe_requests ADD CONSTRAINT {NAME} CHECK (kind IN ({listed})) NOT VALID")
    op.execute(f"ALTER TABLE stripe_requests VALIDATE CONSTRAINT {NAME}")


def downgrade() -> None:
    """Remove it, with the rows of it."""
    op.execute("DELETE FROM stripe_requests WHERE kind = 'subscription_preview'")
    _allow(BEFORE)
