"""What reconciliation did and found, and how far it came."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.execute("""
        CREATE TABLE reconciliation_runs (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            kind varchar(20) NOT NULL,
            status varchar(20) DEFAULT 'running' NOT NULL,
            dry_run boolean DEFAULT false NOT NULL,
            since timestamptz NOT NULL,
            checked integer DEFAULT 0 NOT NULL,
            repaired integer DEFAULT 0 NOT NULL,
            reported integer DEFAULT 0 NOT NULL,
            failed integer DEFAULT 0 NOT NULL,
            error text,
            finished_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_reconciliation_runs PRIMARY KEY (id),
            CONSTRAINT ck_reconciliation_runs_kind_known CHECK (kind IN ('events', 'purchases', 'objects')),
            CONSTRAINT ck_reconciliation_runs_status_known
                CHECK (status IN ('running', 'done', 'incomplete', 'abandoned')),
            CONSTRAINT ck_reconciliation_runs_finished_when_over
                CHECK ((finished_at IS NULL) = (status = 'running'))
        )
    """)
    op.execute("CREATE INDEX ix_reconciliation_runs_newest ON reconciliation_runs (created_at DESC, id DESC)")
    op.execute("""
        CREATE INDEX ix_reconciliation_runs_of_kind
            ON reconciliation_runs (kind, status, dry_run, created_at DESC)
    """)
    op.execute("""
        CREATE TABLE reconciliation_findings (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            run_id uuid NOT NULL,
            "check" varchar(40) NOT NULL,
            subject varchar(255) NOT NULL,
            problem varchar(60) NOT NULL,
            action varchar(20) NOT NULL,
            detail text NOT NULL,
            changes jsonb,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_reconciliation_findings PRIMARY KEY (id),
            CONSTRAINT fk_reconciliation_findings_run_id_reconciliation_runs
                FOREIGN KEY (run_id) REFERENCES reconciliation_runs (id) ON DELETE CASCADE,
            CONSTRAINT ck_reconciliation_findings_action_known
                CHECK (action IN ('repaired', 'repairable', 'reported', 'failed'))
        )
    """)
    op.execute("CREATE INDEX ix_reconciliation_findings_run ON reconciliation_findings (run_id, created_at, id)")
    op.execute("CREATE INDEX ix_reconciliation_findings_subject ON reconciliation_findings (subject)")
    op.execute("""
        CREATE TABLE reconciliation_watermarks (
            kind varchar(20) NOT NULL,
            reached timestamptz NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_reconciliation_watermarks PRIMARY KEY (kind),
            CONSTRAINT ck_reconciliation_watermarks_kind_known CHECK (kind IN ('events', 'purchases', 'objects'))
        )
    """)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE reconciliation_watermarks")
    op.execute("DROP TABLE reconciliation_findings")
    op.execute("DROP TABLE reconciliation_runs")
