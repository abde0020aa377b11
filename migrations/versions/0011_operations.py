"""Operations: workers and their heartbeats, leases by name, idempotency keys, and the figures of days."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    _workers()
    _named_leases()
    _idempotency_keys()
    _figures()


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("process", sa.String(200), nullable=False),
        sa.Column("queues", JSONB, nullable=False),
        sa.Column("report_interval", sa.Float, nullable=False),
        sa.Column("is_full", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("calls", JSONB, nullable=False, server_default="{}"),
        sa.Column("started_at", TIME, nullable=False, server_default=NOW),
        sa.Column("seen_at", TIME, nullable=False, server_default=NOW),
        sa.Column("last_message_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    op.create_table(
        "queue_probes",
        sa.Column("queue", sa.String(60), nullable=False),
        sa.Column("ran_at", TIME, nullable=False, server_default=NOW),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("queue", name="pk_queue_probes"),
    )
    # Failures of threads, summed over all processes.
    op.create_table(
        "thread_failures",
        sa.Column("thread", sa.String(60), nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("failed_at", TIME),
        sa.PrimaryKeyConstraint("thread", name="pk_thread_failures"),
    )
    # OpenClaw's agents, as a worker last listed them: one row, so that the API does not call OpenClaw.
    op.create_table(
        "openclaw_agents",
        sa.Column("one", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("agents", JSONB, nullable=False),
        sa.Column("listed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_openclaw_agents"),
        sa.CheckConstraint("one", name=op.f("ck_openclaw_agents_one_row")),
    )


def _named_leases() -> None:
    # Rows in place of advisory locks, which would stay with a pooler's connection.
    op.create_table(
        "named_leases",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("holder", sa.String(100), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_named_leases"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("response", JSONB),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_idempotency_keys_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _figures() -> None:
    op.create_table(
        "daily_figures",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("figures", JSONB, nullable=False),
        sa.Column("computed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_daily_figures"),
    )
    op.create_table(
        "business_totals",
        sa.Column("one", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("figures", JSONB, nullable=False),
        sa.Column("counted_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_business_totals"),
        # The key is always true, so that there is one row.
        sa.CheckConstraint("one", name=op.f("ck_business_totals_one_row")),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("business_totals")
    op.drop_table("daily_figures")
    op.drop_table("idempotency_keys")
    op.drop_table("named_leases")
    op.drop_table("openclaw_agents")
    op.drop_table("thread_failures")
    op.drop_table("queue_probes")
    op.drop_table("workers")
