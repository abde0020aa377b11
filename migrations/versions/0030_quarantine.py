"""Runs that took their workers down are kept apart, with what is known of each crash, until somebody decided."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember crashes beside their number, and make a place for those whose number is too high."""
    op.add_column("workflow_executions", sa.Column("crash_log", JSONB(none_as_null=True), nullable=True))
    op.execute("""
        CREATE TABLE quarantined_runs (
            execution_id uuid NOT NULL,
            user_id uuid NOT NULL,
            workflow_name varchar(200) NOT NULL,
            reason text NOT NULL,
            crashes jsonb NOT NULL,
            submitted_at timestamptz NOT NULL,
            quarantined_at timestamptz DEFAULT now() NOT NULL,
            retried_as uuid,
            CONSTRAINT pk_quarantined_runs PRIMARY KEY (execution_id),
            CONSTRAINT fk_quarantined_runs_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
        )
    """)
    op.execute("""
        CREATE INDEX ix_quarantined_runs_open ON quarantined_runs (quarantined_at DESC) WHERE retried_as IS NULL
    """)


def downgrade() -> None:
    """Forget them."""
    op.execute("DROP TABLE quarantined_runs")
    op.drop_column("workflow_executions", "crash_log")
