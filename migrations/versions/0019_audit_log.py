"""The audit log: who did what, to which rows can only be added. They may go after a year."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and its guards."""
    op.execute("""
        CREATE TABLE audit_log (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            actor_id uuid,
            action varchar(60) NOT NULL,
            subject_id uuid,
            address inet,
            data jsonb,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_audit_log PRIMARY KEY (id)
        )
    """)
    op.execute("CREATE INDEX ix_audit_log_newest ON audit_log (created_at DESC, id DESC)")
    op.execute("CREATE INDEX ix_audit_log_of_subject ON audit_log (subject_id, created_at DESC, id DESC)")
    op.execute("""
        CREATE INDEX ix_audit_log_of_actor ON audit_log (actor_id, created_at DESC, id DESC)
            WHERE actor_id IS NOT NULL
    """)
    op.execute("""
        CREATE TRIGGER audit_log_never_changes BEFORE UPDATE ON audit_log
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log
            FOR EACH ROW WHEN (old.created_at > now() - interval '365 days') EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE TRIGGER audit_log_never_vanishes BEFORE TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE audit_log")
