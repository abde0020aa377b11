"""Adds events about late results to runs that have ended."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.schedule import Step
from models.serialization import Json, to_json

_ADD = text("""
    WITH run AS (
        UPDATE workflow_executions SET last_seq = last_seq + 1
         WHERE id = :id AND finished_at IS NOT NULL
     RETURNING id, last_seq)
    INSERT INTO execution_events (execution_id, seq, type, level, node_id, path, message, data)
    SELECT id, last_seq, :type, 'warning', :node, :path, :message, CAST(:data AS jsonb) FROM run
""")


def add(session: Session, execution_id: UUID, step: Step, kind: str, message: str, data: Json) -> None:
    """Add an event to an ended run; does nothing for other runs, whose drivers number the events themselves."""
    values = {"id": execution_id, "type": kind, "node": step.node_id, "path": step.path, "message": message}
    session.execute(_ADD, values | {"data": to_json(data)})
