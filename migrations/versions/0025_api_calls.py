"""What counts against a month's allowance of calls, and the runs that wait for the next month."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and find the runs that wait for calls."""
    op.execute("""
        CREATE TABLE api_calls (
            execution_id uuid NOT NULL,
            node_id varchar(64) NOT NULL,
            path varchar(64) NOT NULL,
            user_id uuid NOT NULL,
            at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_api_calls PRIMARY KEY (execution_id, node_id, path),
            CONSTRAINT fk_api_calls_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_api_calls_by_time ON api_calls (user_id, at)")
    op.execute("""
        CREATE INDEX ix_workflow_executions_rationed ON workflow_executions (user_id)
            WHERE status = 'waiting' AND waiting_for->'types' ? 'api_calls'
    """)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX ix_workflow_executions_rationed")
    op.execute("DROP TABLE api_calls")
