"""Executions with their nodes and events, and the credits held for them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATES = "'queued', 'running', 'waiting', 'cancelling', 'success', 'failed', 'cancelled'"
NODE_STATES = "'pending', 'running', 'waiting', 'success', 'failed', 'skipped', 'cancelled'"


def upgrade() -> None:
    """Add the tables; the fill factors leave room for updates in place, because most of them touch no index."""
    _executions()
    _journal()
    _holds()


def _executions() -> None:
    op.execute(f"""
        CREATE TABLE workflow_executions (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            workflow_id uuid NOT NULL,
            version_id uuid NOT NULL,
            workflow_name varchar(200) NOT NULL,
            status varchar(20) DEFAULT 'queued' NOT NULL,
            priority varchar(20) NOT NULL,
            input jsonb,
            output jsonb,
            error jsonb,
            price_list varchar(40) NOT NULL,
            credits_cap numeric(14, 2) NOT NULL,
            credits_charged numeric(14, 2) DEFAULT 0 NOT NULL,
            nodes_total integer NOT NULL,
            nodes_executed integer DEFAULT 0 NOT NULL,
            progress integer DEFAULT 0 NOT NULL,
            last_seq bigint DEFAULT 0 NOT NULL,
            epoch integer DEFAULT 0 NOT NULL,
            lease_owner varchar(200),
            lease_expires_at timestamptz,
            cancel_requested_at timestamptz,
            wake_at timestamptz,
            waiting_for jsonb,
            crashes integer DEFAULT 0 NOT NULL,
            rung_at timestamptz,
            started_at timestamptz,
            finished_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_workflow_executions PRIMARY KEY (id),
            CONSTRAINT fk_workflow_executions_user_id_users FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT fk_workflow_executions_workflow_id_workflows FOREIGN KEY (workflow_id)
                REFERENCES workflows (id),
            CONSTRAINT fk_workflow_executions_version_id_workflow_versions FOREIGN KEY (version_id)
                REFERENCES workflow_versions (id),
            CONSTRAINT ck_workflow_executions_status_known CHECK (status IN ({STATES})),
            CONSTRAINT ck_workflow_executions_priority_known CHECK (priority IN ('low', 'normal', 'high')),
            CONSTRAINT ck_workflow_executions_charged_within_cap CHECK (credits_charged BETWEEN 0 AND credits_cap),
            CONSTRAINT ck_workflow_executions_progress_is_percentage CHECK (progress BETWEEN 0 AND 100),
            CONSTRAINT ck_workflow_executions_finished_when_over
                CHECK ((finished_at IS NOT NULL) = (status IN ('success', 'failed', 'cancelled')))
        ) WITH (fillfactor = 80)
    """)
    for name, columns in (
        ("owned", "(user_id, created_at DESC, id DESC)"),
        ("by_status", "(user_id, status, created_at DESC, id DESC)"),
        ("of_workflow", "(workflow_id, created_at DESC, id DESC, status)"),
        ("queued", "(priority, created_at, id) WHERE status = 'queued'"),
        ("leased", "(lease_expires_at) WHERE lease_expires_at IS NOT NULL"),
        ("due", "(wake_at) WHERE status = 'waiting'"),
    ):
        op.execute(f"CREATE INDEX ix_workflow_executions_{name} ON workflow_executions {columns}")


def _journal() -> None:
    op.execute(f"""
        CREATE TABLE node_executions (
            execution_id uuid NOT NULL,
            node_id varchar(64) NOT NULL,
            path varchar(64) DEFAULT '' NOT NULL,
            status varchar(20) NOT NULL,
            attempt integer DEFAULT 0 NOT NULL,
            port text,
            output jsonb,
            error jsonb,
            credits numeric(14, 2) DEFAULT 0 NOT NULL,
            external_ref jsonb,
            started_at timestamptz,
            finished_at timestamptz,
            CONSTRAINT pk_node_executions PRIMARY KEY (execution_id, node_id, path),
            CONSTRAINT fk_node_executions_execution_id_workflow_executions FOREIGN KEY (execution_id)
                REFERENCES workflow_executions (id) ON DELETE CASCADE,
            CONSTRAINT ck_node_executions_status_known CHECK (status IN ({NODE_STATES})),
            CONSTRAINT ck_node_executions_credits_not_negative CHECK (credits >= 0)
        ) WITH (fillfactor = 80)
    """)
    op.execute("""
        CREATE TABLE execution_events (
            execution_id uuid NOT NULL,
            seq bigint NOT NULL,
            at timestamptz DEFAULT clock_timestamp() NOT NULL,
            type varchar(60) NOT NULL,
            level varchar(10) DEFAULT 'info' NOT NULL,
            node_id varchar(64),
            path varchar(64) DEFAULT '' NOT NULL,
            message text NOT NULL,
            data jsonb,
            CONSTRAINT pk_execution_events PRIMARY KEY (execution_id, seq),
            CONSTRAINT fk_execution_events_execution_id_workflow_executions FOREIGN KEY (execution_id)
                REFERENCES workflow_executions (id) ON DELETE CASCADE
        )
    """)


def _holds() -> None:
    op.execute("""
        CREATE TABLE credit_holds (
            execution_id uuid NOT NULL,
            user_id uuid NOT NULL,
            amount numeric(14, 2) NOT NULL,
            captured numeric(14, 2) DEFAULT 0 NOT NULL,
            status varchar(20) DEFAULT 'held' NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            settled_at timestamptz,
            CONSTRAINT pk_credit_holds PRIMARY KEY (execution_id),
            CONSTRAINT fk_credit_holds_execution_id_workflow_executions FOREIGN KEY (execution_id)
                REFERENCES workflow_executions (id),
            CONSTRAINT fk_credit_holds_user_id_users FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT ck_credit_holds_status_known CHECK (status IN ('held', 'captured', 'released')),
            CONSTRAINT ck_credit_holds_amount_not_negative CHECK (amount >= 0),
            CONSTRAINT ck_credit_holds_captured_within_amount CHECK (captured BETWEEN 0 AND amount),
            CONSTRAINT ck_credit_holds_captured_when_captured
                CHECK (CASE status WHEN 'captured' THEN captured > 0 ELSE captured = 0 END),
            CONSTRAINT ck_credit_holds_settled_once CHECK ((settled_at IS NULL) = (status = 'held'))
        ) WITH (fillfactor = 80)
    """)
    op.execute("CREATE INDEX ix_credit_holds_open ON credit_holds (user_id) WHERE status = 'held'")


def downgrade() -> None:
    """Drop them."""
    for table in ("credit_holds", "execution_events", "node_executions", "workflow_executions"):
        op.execute(f"DROP TABLE {table}")
