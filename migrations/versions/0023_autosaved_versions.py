"""Saves of an editor that follow each other are one version; the replaced ones become unlisted."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

KEPT = (
    *("id", "workflow_id", "name", "description", "graph", "node_count", "lint_errors", "worst_case_credits"),
    *("price_list", "agents", "calls", "created_at", "editor", "begun_at"),
)
TRIGGER = """
    CREATE TRIGGER workflow_versions_never_change BEFORE UPDATE ON workflow_versions
        FOR EACH ROW {when} EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Add the columns, and let a version lose its number."""
    op.add_column("workflow_versions", sa.Column("editor", sa.Uuid))
    now = sa.text("now()")
    op.add_column(
        "workflow_versions", sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False, server_default=now)
    )
    old, new = (", ".join(f"{row}.{name}" for name in KEPT) for row in ("old", "new"))
    _replace_trigger(f"WHEN (new.number IS NOT NULL OR ROW({old}) IS DISTINCT FROM ROW({new}))")


def _replace_trigger(when: str) -> None:
    op.execute("DROP TRIGGER workflow_versions_never_change ON workflow_versions")
    op.execute(TRIGGER.format(when=when))


def downgrade() -> None:
    """Remove both."""
    _replace_trigger("")
    op.drop_column("workflow_versions", "begun_at")
    op.drop_column("workflow_versions", "editor")
