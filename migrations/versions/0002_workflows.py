"""Workflows and their versions, which the database refuses to change."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and the trigger function that later tables use too."""
    op.execute("""
        CREATE TABLE workflows (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            name varchar(200) NOT NULL,
            description text DEFAULT '' NOT NULL,
            status varchar(20) DEFAULT 'active' NOT NULL,
            latest_version integer DEFAULT 1 NOT NULL,
            deleted_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_workflows PRIMARY KEY (id),
            CONSTRAINT fk_workflows_user_id_users FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT ck_workflows_status_known CHECK (status IN ('draft', 'active')),
            CONSTRAINT ck_workflows_latest_version_positive CHECK (latest_version > 0)
        )
    """)
    op.execute(
        "CREATE INDEX ix_workflows_owned ON workflows (user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL"
    )
    op.execute("""
        CREATE TABLE workflow_versions (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            workflow_id uuid NOT NULL,
            number integer NOT NULL,
            graph jsonb NOT NULL,
            node_count integer NOT NULL,
            lint_errors jsonb DEFAULT '[]' NOT NULL,
            worst_case_credits numeric(14, 2) DEFAULT 0 NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_workflow_versions PRIMARY KEY (id),
            CONSTRAINT uq_workflow_versions_workflow_id_number UNIQUE (workflow_id, number),
            CONSTRAINT fk_workflow_versions_workflow_id_workflows FOREIGN KEY (workflow_id)
                REFERENCES workflows (id) ON DELETE CASCADE,
            CONSTRAINT ck_workflow_versions_number_positive CHECK (number > 0),
            CONSTRAINT ck_workflow_versions_node_count_not_negative CHECK (node_count >= 0),
            CONSTRAINT ck_workflow_versions_worst_case_not_negative CHECK (worst_case_credits >= 0)
        )
    """)
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% on % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER workflow_versions_never_change BEFORE UPDATE ON workflow_versions
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE workflow_versions")
    op.execute("DROP TABLE workflows")
    op.execute("DROP FUNCTION refuse_change()")
