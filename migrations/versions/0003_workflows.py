"""Workflows with their versions, and the gallery of templates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    _workflows()
    _workflow_versions()
    _templates()
    _template_reports()


def _workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("status", sa.String(20), nullable=False, server_default="active"),
        sa.Column("latest_version", sa.Integer, nullable=False, server_default=sa.text("1")),
        # Seconds from an execution's submission to its end and to its start; NULL: the deployment's default.
        sa.Column("timeout", sa.Integer),
        sa.Column("max_queue_seconds", sa.Integer),
        sa.Column("deleted_at", TIME),
        sa.Column("history_removed_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_workflows"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_workflows_user_id_users"),
        sa.CheckConstraint("status IN ('draft', 'active')", name=op.f("ck_workflows_status_known")),
        sa.CheckConstraint("latest_version > 0", name=op.f("ck_workflows_latest_version_positive")),
        sa.CheckConstraint("timeout > 0 AND max_queue_seconds > 0", name=op.f("ck_workflows_times_positive")),
    )
    op.create_index(
        "ix_workflows_owned",
        "workflows",
        ["user_id", sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_workflows_deleted",
        "workflows",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL AND history_removed_at IS NULL"),
    )


def _workflow_versions() -> None:
    op.create_table(
        "workflow_versions",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("workflow_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("graph", JSONB, nullable=False),
        sa.Column("node_count", sa.Integer, nullable=False),
        sa.Column("lint_errors", JSONB, nullable=False, server_default="[]"),
        sa.Column("worst_case_credits", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("price_list", sa.String(40), nullable=False, server_default="2026-11"),
        sa.Column("agents", JSONB, nullable=False, server_default="[]"),
        sa.Column("calls", JSONB, nullable=False, server_default="[]"),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_versions"),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_workflow_versions_workflow_id_workflows", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("workflow_id", "number", name="uq_workflow_versions_workflow_id_number"),
        sa.CheckConstraint("number > 0", name=op.f("ck_workflow_versions_number_positive")),
        sa.CheckConstraint("node_count >= 0", name=op.f("ck_workflow_versions_node_count_not_negative")),
        sa.CheckConstraint("worst_case_credits >= 0", name=op.f("ck_workflow_versions_worst_case_not_negative")),
    )
    # Executions are pinned to a version, so a version never changes; it is only deleted together with its workflow.
    op.execute("""
        CREATE TRIGGER workflow_versions_never_change BEFORE UPDATE ON workflow_versions
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)


def _templates() -> None:
    op.create_table(
        "templates",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("slug", sa.String(80), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("category", sa.String(40), nullable=False),
        sa.Column("estimated_minutes", sa.SmallInteger),
        sa.Column("graph", JSONB, nullable=False),
        sa.Column("problems", JSONB, nullable=False, server_default="[]"),
        # NULL: the template came with the service.
        sa.Column("owner_id", sa.Uuid),
        sa.Column("published", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("unpublished_at", TIME),
        sa.Column("uses", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_templates"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_templates_owner_id_users"),
        sa.UniqueConstraint("slug", name="uq_templates_slug"),
        sa.CheckConstraint("estimated_minutes > 0", name=op.f("ck_templates_estimated_minutes_positive")),
        sa.CheckConstraint("unpublished_at IS NULL OR NOT published", name=op.f("ck_templates_not_published_again")),
    )
    op.create_index("ix_templates_owned", "templates", ["owner_id"], postgresql_where=sa.text("owner_id IS NOT NULL"))
    op.create_index(
        "ix_templates_gallery",
        "templates",
        [sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("published"),
    )


def _template_reports() -> None:
    op.create_table(
        "template_reports",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("template_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("closed_at", TIME),
        sa.Column("outcome", sa.String(20)),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_template_reports"),
        sa.ForeignKeyConstraint(
            ["template_id"], ["templates.id"], name="fk_template_reports_template_id_templates", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_template_reports_user_id_users", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("user_id", "template_id", name="uq_template_reports_once"),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (outcome IS NULL)", name=op.f("ck_template_reports_closed_with_an_outcome")
        ),
        sa.CheckConstraint("outcome IN ('dismissed', 'unpublished')", name=op.f("ck_template_reports_outcome_known")),
    )
    op.create_index("ix_template_reports_of_template", "template_reports", ["template_id"])
    op.create_index("ix_template_reports_newest", "template_reports", [sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index(
        "ix_template_reports_open",
        "template_reports",
        [sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("template_reports")
    op.drop_table("templates")
    op.drop_table("workflow_versions")
    op.drop_table("workflows")
