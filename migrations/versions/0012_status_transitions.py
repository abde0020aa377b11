"""The transitions between the states of executions and of nodes, which the database enforces."""

from collections.abc import Mapping, Sequence

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OF_EXECUTIONS = {
    "queued": ["running", "cancelling", "failed", "cancelled"],
    "running": ["queued", "waiting", "cancelling", "success", "failed", "cancelled"],
    "waiting": ["running", "cancelling", "failed", "cancelled"],
    "cancelling": ["running", "waiting", "success", "failed", "cancelled"],
}
_OF_NODES = {
    "pending": ["running", "waiting", "success", "failed", "cancelled"],
    "running": ["pending", "waiting", "success", "failed", "cancelled"],
    "waiting": ["pending", "running", "success", "failed", "cancelled"],
}


def upgrade() -> None:
    """Create the triggers."""
    op.execute("""
        CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the status of a row of % may not change from % to %', TG_TABLE_NAME, old.status, new.status
                USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
        END $$
    """)
    _enforce("workflow_executions", _OF_EXECUTIONS)
    _enforce("node_executions", _OF_NODES)


def _enforce(table: str, transitions: Mapping[str, Sequence[str]]) -> None:
    legal = " OR ".join(
        f"(old.status = '{before}' AND new.status = ANY ('{{{', '.join(after)}}}'))"
        for before, after in transitions.items()
    )
    # AFTER, because a BEFORE trigger locks each row once more. The condition is evaluated without calling the function,
    # and a status that stays the same ends it at once.
    op.execute(f"""
        CREATE TRIGGER {table}_status_transition AFTER UPDATE OF status ON {table}
            FOR EACH ROW WHEN (new.status <> old.status AND NOT ({legal})) EXECUTE FUNCTION refuse_transition()
    """)


def downgrade() -> None:
    """Drop the triggers."""
    op.execute("DROP TRIGGER node_executions_status_transition ON node_executions")
    op.execute("DROP TRIGGER workflow_executions_status_transition ON workflow_executions")
    op.execute("DROP FUNCTION refuse_transition()")
