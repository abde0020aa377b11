"""Adds to the history of runs that are over what came too late for them."""

from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import Json
from models.rules.schedule import Step

_ADD = text("""
    WITH run AS (
        UPDATE workflow_executions SET last_seq = last_seq + 1
         WHERE id = :id AND finished_at IS NOT NULL
     RETURNING id, last_seq)
    INSERT INTO execution_events (execution_id, seq, type, level, node_id, path, message, data)
    SELECT id, last_seq, :type, 'warning', :node, :path, :message, CAST(:data AS jsonb) FROM run
""")


def add(session: Session, execution_id: UUID, step: Step, kind: str, message: str, data: Json) -> None:
    """Add an event to a run that has ended; one that goes on has a driver which counts its own events."""
    values = {"id": execution_id, "type": kind, "node": step.node_id, "path": step.path, "message": message}
    session.execute(_ADD, values | {"data": orjson.dumps(data).decode()})
