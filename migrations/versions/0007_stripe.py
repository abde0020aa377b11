"""Traffic with Stripe: events received, requests to send, and the reconciliation of both sides."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    _stripe_events()
    _stripe_requests()
    _reconciliation()


def _stripe_events() -> None:
    op.create_table(
        "stripe_events",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("api_version", sa.String(60)),
        sa.Column("created", TIME, nullable=False),
        sa.Column("livemode", sa.Boolean, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="received"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("begun_at", TIME),
        sa.Column("next_try_at", TIME),
        sa.Column("enqueued_at", TIME),
        sa.Column("error", sa.Text),
        sa.Column("received_at", TIME, nullable=False, server_default=NOW),
        sa.Column("handled_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_events"),
        sa.CheckConstraint("status <> 'dead' OR error IS NOT NULL", name=op.f("ck_stripe_events_dead_says_why")),
        sa.CheckConstraint(
            "(handled_at IS NOT NULL) = (status IN ('done', 'ignored'))",
            name=op.f("ck_stripe_events_handled_when_over"),
        ),
        sa.CheckConstraint(
            "status IN ('received', 'waiting', 'done', 'ignored', 'dead')", name=op.f("ck_stripe_events_status_known")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_stripe_events_attempts_not_negative")),
    )
    op.create_index("ix_stripe_events_created", "stripe_events", ["created"])
    op.create_index(
        "ix_stripe_events_dead", "stripe_events", ["received_at"], postgresql_where=sa.text("status = 'dead'")
    )
    op.create_index(
        "ix_stripe_events_open",
        "stripe_events",
        ["received_at"],
        postgresql_where=sa.text("status IN ('received', 'waiting')"),
    )
    op.create_index(
        "ix_stripe_events_handled",
        "stripe_events",
        ["handled_at"],
        postgresql_where=sa.text("handled_at IS NOT NULL AND raw <> ''::bytea"),
    )


def _stripe_requests() -> None:
    op.create_table(
        "stripe_requests",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject_id", sa.Uuid),
        sa.Column("params", JSONB, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("attempt_started_at", TIME),
        sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
        sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("result", JSONB),
        sa.Column("error", JSONB),
        sa.Column("last_error", sa.String(500)),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("next_try_at", TIME),
        sa.Column("enqueued_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_requests"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_stripe_requests_user_id_users"),
        sa.UniqueConstraint("key", name="uq_stripe_requests_key"),
        sa.CheckConstraint(
            "kind IN ('purchase', 'subscription_create', 'subscription_update', 'subscription_cancel',"
            " 'subscription_resume', 'payment_method_add', 'payment_method_default', 'payment_method_remove',"
            " 'account_close', 'purchase_cancel', 'customer_update')",
            name=op.f("ck_stripe_requests_kind_known"),
        ),
        sa.CheckConstraint("attempt >= 1", name=op.f("ck_stripe_requests_attempt_counts_from_one")),
        sa.CheckConstraint("status <> 'done' OR result IS NOT NULL", name=op.f("ck_stripe_requests_done_has_result")),
        sa.CheckConstraint(
            "(status = 'failed') = (error IS NOT NULL)", name=op.f("ck_stripe_requests_failed_says_why")
        ),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('done', 'failed'))",
            name=op.f("ck_stripe_requests_finished_when_over"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'working', 'done', 'failed')", name=op.f("ck_stripe_requests_status_known")
        ),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_stripe_requests_tries_not_negative")),
    )
    op.create_index("ix_stripe_requests_owned", "stripe_requests", ["user_id", sa.text("created_at DESC")])
    # Two creations under way at the same time would leave a user with two paid subscriptions.
    op.create_index(
        "uq_stripe_requests_one_subscription",
        "stripe_requests",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'subscription_create' AND status IN ('pending', 'working')"),
    )
    op.create_index(
        "ix_stripe_requests_subject",
        "stripe_requests",
        ["subject_id"],
        postgresql_where=sa.text("subject_id IS NOT NULL"),
    )
    op.create_index(
        "ix_stripe_requests_open",
        "stripe_requests",
        ["created_at"],
        postgresql_where=sa.text("status IN ('pending', 'working')"),
    )


def _reconciliation() -> None:
    op.create_table(
        "reconciliation_runs",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="running"),
        sa.Column("dry_run", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("since", TIME, nullable=False),
        sa.Column("checked", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("repaired", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("reported", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failed", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("error", sa.Text),
        sa.Column("finished_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_reconciliation_runs"),
        sa.CheckConstraint(
            "kind IN ('events', 'purchases', 'objects')", name=op.f("ck_reconciliation_runs_kind_known")
        ),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (status = 'running')", name=op.f("ck_reconciliation_runs_finished_when_over")
        ),
        sa.CheckConstraint(
            "status IN ('running', 'done', 'incomplete', 'abandoned')", name=op.f("ck_reconciliation_runs_status_known")
        ),
    )
    op.create_index(
        "ix_reconciliation_runs_of_kind",
        "reconciliation_runs",
        ["kind", "status", "dry_run", sa.text("created_at DESC")],
    )
    op.create_index(
        "ix_reconciliation_runs_newest", "reconciliation_runs", [sa.text("created_at DESC"), sa.text("id DESC")]
    )
    op.create_table(
        "reconciliation_findings",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("check", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("problem", sa.String(60), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("changes", JSONB),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_reconciliation_findings"),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["reconciliation_runs.id"],
            name="fk_reconciliation_findings_run_id_reconciliation_runs",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "action IN ('repaired', 'repairable', 'reported', 'failed')",
            name=op.f("ck_reconciliation_findings_action_known"),
        ),
    )
    op.create_index("ix_reconciliation_findings_run", "reconciliation_findings", ["run_id", "created_at", "id"])
    op.create_index("ix_reconciliation_findings_subject", "reconciliation_findings", ["subject"])
    op.create_index("ix_reconciliation_findings_age", "reconciliation_findings", ["created_at"])
    op.create_table(
        "reconciliation_watermarks",
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("reached", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("kind", name="pk_reconciliation_watermarks"),
        sa.CheckConstraint(
            "kind IN ('events', 'purchases', 'objects')", name=op.f("ck_reconciliation_watermarks_kind_known")
        ),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("reconciliation_watermarks")
    op.drop_table("reconciliation_findings")
    op.drop_table("reconciliation_runs")
    op.drop_table("stripe_requests")
    op.drop_table("stripe_events")
