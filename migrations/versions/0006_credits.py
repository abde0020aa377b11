"""Credits: wallets, the ledger of their changes, holds, receipts, and the usage that counts against quotas."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables, and the view of all executions that statistics count."""
    _credits()
    _credit_transactions()
    _credit_holds()
    _receipts()
    _counted_runs()
    _api_calls()
    _storage_used()


def _credits() -> None:
    # The balance has no CHECK: taking back a refunded purchase may make it negative.
    op.create_table(
        "credits",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("balance", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("held", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("user_id", name="pk_credits"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_credits_user_id_users"),
        sa.CheckConstraint("held >= 0", name=op.f("ck_credits_held_not_negative")),
        sa.CheckConstraint("version >= 0", name=op.f("ck_credits_version_not_negative")),
    )
    # Leaves room for updates in place: a wallet changes with each execution.
    op.execute("ALTER TABLE credits SET (fillfactor = 50)")


def _credit_transactions() -> None:
    # No foreign keys but the owner's: the ledger outlives the history of executions.
    op.create_table(
        "credit_transactions",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("balance_after", sa.Numeric(14, 2), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("execution_id", sa.Uuid),
        sa.Column("purchase_id", sa.Uuid),
        sa.Column("reported_workflow", sa.String(64)),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_credit_transactions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_credit_transactions_user_id_users"),
        sa.UniqueConstraint("user_id", "version", name="uq_credit_transactions_no_gap_in_history"),
        # The same key never moves credits twice.
        sa.UniqueConstraint("key", name="uq_credit_transactions_key"),
        sa.CheckConstraint("type IN ('credit', 'debit')", name=op.f("ck_credit_transactions_type_known")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_transactions_amount_positive")),
    )
    # Sums over a span of time are read from the index alone.
    op.create_index(
        "ix_credit_transactions_by_time",
        "credit_transactions",
        ["user_id", "created_at"],
        postgresql_include=["type", "amount", "source"],
    )
    op.create_index(
        "ix_credit_transactions_execution",
        "credit_transactions",
        ["execution_id"],
        postgresql_where=sa.text("execution_id IS NOT NULL"),
    )
    op.create_index(
        "ix_credit_transactions_purchase",
        "credit_transactions",
        ["purchase_id"],
        postgresql_where=sa.text("purchase_id IS NOT NULL"),
    )
    op.create_index(
        "ix_credit_transactions_newest", "credit_transactions", [sa.text("created_at DESC"), sa.text("id DESC")]
    )
    # The ledger is append-only.
    op.execute("""
        CREATE TRIGGER credit_transactions_never_change BEFORE UPDATE OR DELETE ON credit_transactions
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE TRIGGER credit_transactions_never_vanish BEFORE TRUNCATE ON credit_transactions
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def _credit_holds() -> None:
    # No foreign key to the execution: a settled hold stays when its history is pruned.
    op.create_table(
        "credit_holds",
        sa.Column("execution_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("captured", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("status", sa.String(20), nullable=False, server_default="held"),
        sa.Column("settled_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("execution_id", name="pk_credit_holds"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_credit_holds_user_id_users"),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_credit_holds_amount_not_negative")),
        sa.CheckConstraint("captured BETWEEN 0 AND amount", name=op.f("ck_credit_holds_captured_within_amount")),
        sa.CheckConstraint(
            "CASE status WHEN 'captured' THEN captured > 0 ELSE captured = 0 END",
            name=op.f("ck_credit_holds_captured_when_captured"),
        ),
        sa.CheckConstraint("status IN ('held', 'captured', 'released')", name=op.f("ck_credit_holds_status_known")),
        sa.CheckConstraint("(settled_at IS NULL) = (status = 'held')", name=op.f("ck_credit_holds_settled_once")),
    )
    op.create_index("ix_credit_holds_open", "credit_holds", ["user_id"], postgresql_where=sa.text("status = 'held'"))
    op.execute("ALTER TABLE credit_holds SET (fillfactor = 80)")  # a hold is settled in place


def _receipts() -> None:
    # No foreign key to the execution: the receipt replaces it.
    op.create_table(
        "receipts",
        sa.Column("execution_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("workflow_id", sa.Uuid, nullable=False),
        sa.Column("workflow_name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("nodes_executed", sa.Integer, nullable=False),
        sa.Column("credits_charged", sa.Numeric(14, 2), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name="pk_receipts"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_receipts_user_id_users"),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name="fk_receipts_workflow_id_workflows"),
        sa.CheckConstraint("status IN ('success', 'failed', 'cancelled')", name=op.f("ck_receipts_status_over")),
    )
    op.create_index("ix_receipts_owned", "receipts", ["user_id", "created_at"])
    op.create_index("ix_receipts_of_workflow", "receipts", ["workflow_id", "created_at"])
    op.create_index("ix_receipts_age", "receipts", ["created_at"])


def _counted_runs() -> None:
    # An execution that expired is counted by its receipt while its own rows are being removed.
    op.execute("""
        CREATE VIEW counted_runs AS
            SELECT user_id, workflow_id, status, nodes_executed, credits_charged, created_at, started_at, finished_at
              FROM workflow_executions WHERE expired_at IS NULL
            UNION ALL
            SELECT user_id, workflow_id, status, nodes_executed, credits_charged, created_at, started_at, finished_at
              FROM receipts
    """)


def _api_calls() -> None:
    # No foreign key to the execution: the month's count outlives its history.
    op.create_table(
        "api_calls",
        sa.Column("execution_id", sa.Uuid, nullable=False),
        sa.Column("node_id", sa.String(64), nullable=False),
        sa.Column("path", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("last_request", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("execution_id", "node_id", "path", name="pk_api_calls"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_calls_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("requests >= 0", name=op.f("ck_api_calls_requests_not_negative")),
    )
    op.create_index("ix_api_calls_by_time", "api_calls", ["user_id", "at"], postgresql_include=["requests"])
    # Rows are inserted and deleted in the order of time.
    op.create_index("ix_api_calls_age", "api_calls", ["at"], postgresql_using="brin")


def _storage_used() -> None:
    op.create_table(
        "storage_used",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("measured_at", TIME, nullable=False, server_default=NOW),
        sa.Column("wanted_at", TIME),
        sa.PrimaryKeyConstraint("user_id", name="pk_storage_used"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_storage_used_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_storage_used_bytes_not_negative")),
    )
    op.create_index(
        "ix_storage_used_wanted", "storage_used", ["wanted_at"], postgresql_where=sa.text("wanted_at IS NOT NULL")
    )


def downgrade() -> None:
    """Drop the view and the tables."""
    op.execute("DROP VIEW counted_runs")
    op.drop_table("storage_used")
    op.drop_table("api_calls")
    op.drop_table("receipts")
    op.drop_table("credit_holds")
    op.drop_table("credit_transactions")
    op.drop_table("credits")
