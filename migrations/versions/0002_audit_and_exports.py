"""Records of accounts: the audit log, and exports of users' data."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables, and the trigger function that later tables use too."""
    _refuse_change()
    _audit_log()
    _data_exports()


def _refuse_change() -> None:
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% on % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$
    """)


def _audit_log() -> None:
    # No foreign keys: the log outlives the accounts that it is about.
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("actor_id", sa.Uuid),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject_id", sa.Uuid),
        sa.Column("address", INET),
        sa.Column("data", JSONB),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index(
        "ix_audit_log_of_actor",
        "audit_log",
        ["actor_id", sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("actor_id IS NOT NULL"),
    )
    op.create_index(
        "ix_audit_log_of_subject", "audit_log", ["subject_id", sa.text("created_at DESC"), sa.text("id DESC")]
    )
    op.create_index("ix_audit_log_newest", "audit_log", [sa.text("created_at DESC"), sa.text("id DESC")])
    # Rows never change, except that erasing an account removes names and reasons.
    op.execute("""
        CREATE TRIGGER audit_log_never_changes BEFORE UPDATE ON audit_log
            FOR EACH ROW
           WHEN ((new.id, new.created_at, new.actor_id, new.action, new.subject_id, new.address)
                 IS DISTINCT FROM (old.id, old.created_at, old.actor_id, old.action, old.subject_id, old.address)
                 OR new.data IS DISTINCT FROM old.data - ARRAY['name', 'reason'])
        EXECUTE FUNCTION refuse_change()
    """)
    # Pruning removes rows after a year.
    op.execute("""
        CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log
            FOR EACH ROW WHEN (old.created_at > now() - interval '365 days') EXECUTE FUNCTION refuse_change()
    """)
    # TRUNCATE fires no trigger of rows.
    op.execute("""
        CREATE TRIGGER audit_log_never_vanishes BEFORE TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def _data_exports() -> None:
    op.create_table(
        "data_exports",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
        sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("token_hash", sa.LargeBinary),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("started_at", TIME),
        sa.Column("ready_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_data_exports"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_data_exports_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("token_hash", name="uq_data_exports_token_hash"),
        sa.CheckConstraint(
            "(ready_at IS NOT NULL) = (status = 'ready')", name=op.f("ck_data_exports_ready_when_ready")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'building', 'ready', 'failed')", name=op.f("ck_data_exports_status_known")
        ),
    )
    op.create_index("ix_data_exports_owned", "data_exports", ["user_id", sa.text("created_at DESC")])
    op.create_index(
        "uq_data_exports_one_at_a_time",
        "data_exports",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('pending', 'building')"),
    )
    op.create_index(
        "ix_data_exports_open",
        "data_exports",
        ["created_at"],
        postgresql_where=sa.text("status IN ('pending', 'building')"),
    )
    op.create_table(
        "data_export_parts",
        sa.Column("export_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("export_id", "number", name="pk_data_export_parts"),
        sa.ForeignKeyConstraint(
            ["export_id"], ["data_exports.id"], name="fk_data_export_parts_export_id_data_exports", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop the tables and the function."""
    op.drop_table("data_export_parts")
    op.drop_table("data_exports")
    op.drop_table("audit_log")
    op.execute("DROP FUNCTION refuse_change()")
