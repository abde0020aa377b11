"""What is left of runs whose history was pruned: their receipts, and a ledger that keeps its promises."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

RUNS = "workflow_executions"
FOREIGN_KEY = "fk_credit_holds_execution_id_workflow_executions"
INDEXES = {
    "ix_workflow_executions_aging": "(finished_at)"
    " WHERE finished_at IS NOT NULL AND kept_until IS NULL AND expired_at IS NULL",
    "ix_workflow_executions_kept": "(kept_until) WHERE kept_until IS NOT NULL AND expired_at IS NULL",
    "ix_workflow_executions_expired": "(expired_at) WHERE expired_at IS NOT NULL",
}


def upgrade() -> None:
    """Add the receipts, let holds outlive their runs, and find the runs that are old."""
    op.execute("""
        CREATE TABLE receipts (
            execution_id uuid NOT NULL,
            user_id uuid NOT NULL,
            workflow_id uuid NOT NULL,
            workflow_name varchar(200) NOT NULL,
            status varchar(20) NOT NULL,
            nodes_executed integer NOT NULL,
            credits_charged numeric(14, 2) NOT NULL,
            created_at timestamptz NOT NULL,
            started_at timestamptz,
            finished_at timestamptz NOT NULL,
            document jsonb NOT NULL,
            CONSTRAINT pk_receipts PRIMARY KEY (execution_id),
            CONSTRAINT fk_receipts_user_id_users FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT fk_receipts_workflow_id_workflows FOREIGN KEY (workflow_id) REFERENCES workflows (id),
            CONSTRAINT ck_receipts_status_over CHECK (status IN ('success', 'failed', 'cancelled'))
        )
    """)
    op.execute(f"ALTER TABLE {RUNS} ADD COLUMN kept_until timestamptz, ADD COLUMN expired_at timestamptz")
    op.execute(f"""
        ALTER TABLE {RUNS} ADD CONSTRAINT ck_workflow_executions_expired_when_over
            CHECK (expired_at IS NULL OR finished_at IS NOT NULL)
    """)
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {RUNS} {columns}")
    op.execute(f"ALTER TABLE credit_holds DROP CONSTRAINT {FOREIGN_KEY}")
    op.execute("""
        CREATE FUNCTION ledger_violations_of_history() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            SELECT 'hold_has_its_run_or_receipt', h.execution_id, format('hold %s of %s', h.status, h.amount)
              FROM credit_holds h
             WHERE NOT EXISTS (SELECT FROM workflow_executions e WHERE e.id = h.execution_id)
               AND NOT EXISTS (SELECT FROM receipts r WHERE r.execution_id = h.execution_id AND h.status <> 'held')
            UNION ALL
            SELECT 'receipt_is_what_was_captured', r.execution_id,
                   format('receipt %s, captured %s', r.credits_charged, h.captured)
              FROM receipts r JOIN credit_holds h ON h.execution_id = r.execution_id
             WHERE h.captured <> r.credits_charged OR (r.document->>'total')::numeric <> r.credits_charged
        $$
    """)
    op.execute("""
        CREATE OR REPLACE FUNCTION ledger_violations() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            SELECT * FROM ledger_violations_of_runs() UNION ALL SELECT * FROM ledger_violations_of_purchases()
            UNION ALL SELECT * FROM ledger_violations_of_history()
        $$
    """)


def downgrade() -> None:
    """Forget the receipts. Where holds outlived their runs they stay, and only new ones are held to the foreign key."""
    op.execute("""
        CREATE OR REPLACE FUNCTION ledger_violations() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            SELECT * FROM ledger_violations_of_runs() UNION ALL SELECT * FROM ledger_violations_of_purchases()
        $$
    """)
    op.execute("DROP FUNCTION ledger_violations_of_history()")
    op.execute(f"""
        ALTER TABLE credit_holds ADD CONSTRAINT {FOREIGN_KEY}
            FOREIGN KEY (execution_id) REFERENCES {RUNS} (id) NOT VALID
    """)
    op.execute("""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM credit_holds h WHERE NOT EXISTS (
                               SELECT FROM workflow_executions e WHERE e.id = h.execution_id)) THEN
                ALTER TABLE credit_holds
                    VALIDATE CONSTRAINT fk_credit_holds_execution_id_workflow_executions;
            END IF;
        END $$
    """)
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.execute(f"ALTER TABLE {RUNS} DROP COLUMN kept_until, DROP COLUMN expired_at")
    op.execute("DROP TABLE receipts")
