"""What an ended run leaves to one that repeats it: results that would come out the same, which were paid for there.

The caller has locked the ended run, so that nobody removes its rows meanwhile.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.graph import Graph, parse
from models.rules.reuse import begun_alike, reusable
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services import leases
from models.services.leases import PastStep

_COPY = text("""
    INSERT INTO node_executions (execution_id, node_id, path, status, attempt, port, output, started_at, finished_at,
                                 external_ref)
    SELECT :new, n.node_id, n.path, n.status, n.attempt, n.port, n.output, n.started_at, n.finished_at,
           jsonb_build_object('reusedFrom', CAST(:old AS text))
      FROM node_executions n
      JOIN jsonb_to_recordset(CAST(:steps AS jsonb)) AS kept(node_id text, path text) USING (node_id, path)
     WHERE n.execution_id = :old_id
""")

# The last of the runs that were started in this one's place when its parent ran before, if it would do the same.
_BEFORE = text("""
    SELECT old.id
      FROM workflow_executions new
      JOIN workflow_executions parent ON parent.id = new.parent_execution_id
      JOIN workflow_executions old ON old.parent_execution_id = parent.retry_of
     WHERE new.id = :id AND (old.parent_node_id, old.parent_path) = (new.parent_node_id, new.parent_path)
       AND old.version_id = new.version_id AND old.input IS NOT DISTINCT FROM new.input
       AND old.status IN ('failed', 'cancelled') AND old.expired_at IS NULL
     ORDER BY old.parent_attempt DESC LIMIT 1 FOR UPDATE OF old
""")

# The last run of each step, as far as it, or what it calls, may have a node that acts once.
_CHILDREN = text("""
    SELECT DISTINCT ON (c.parent_node_id, c.parent_path)
           c.id, c.parent_node_id, c.parent_path, c.status, c.version_id, v.id AS newest
      FROM workflow_executions c
      JOIN workflows w ON w.id = c.workflow_id
      JOIN workflow_versions v ON v.workflow_id = w.id AND v.number = w.latest_version
     WHERE c.parent_execution_id = :run AND c.expired_at IS NULL
       AND (v.graph @> '{"nodes": [{"sideEffects": "once"}]}' OR v.calls <> '[]')
     ORDER BY c.parent_node_id, c.parent_path, c.parent_attempt DESC
""")


@dataclass(frozen=True)
class Legacy:
    """The steps of an ended run as it left them, and those of them that a new run need not do again."""

    run: UUID
    graph: Graph  # which the new run follows
    past: Mapping[Step, PastStep]
    kept: Set[Step]
    alike: Set[Step]  # which begin again as they did

    @property
    def credits(self) -> Decimal:
        """What is saved."""
        return sum((self.past[step].credits for step in self.kept), Decimal(0))

    @property
    def acted(self) -> set[str]:
        """Nodes that began and will run again."""
        begun = (step for step, row in self.past.items() if row.status is not NodeStatus.SKIPPED)
        return {step.node_id for step in begun if step not in self.kept and step.node_id in self.graph.nodes}


def of(session: Session, run: UUID, *, was: UUID, version: UUID) -> Legacy:
    """What a run of version `was` leaves to one of `version`; both may be the same."""
    before = parse(leases.graph(session, was))
    graph = before if version == was else parse(leases.graph(session, version))
    past = leases.history(session, run)
    states = {step: row.status for step, row in past.items()}
    return Legacy(run, graph, past, reusable(graph, states, before), begun_alike(graph, states, before))


def of_child(session: Session, child: UUID, version: UUID) -> Legacy | None:
    """What is left to a child of a run that repeats another one, by the child that this one had in the same place.

    None for a child of any other run, and where the version or the input is another one now. That child is locked.
    """
    before = session.scalar(_BEFORE, {"id": child})
    return of(session, before, was=version, version=version) if before else None


def below(session: Session, legacy: Legacy) -> Iterator[Legacy]:
    """What is left to the runs that the new one will start again, as far as any node in them may only act once."""
    for row in session.execute(_CHILDREN, {"run": legacy.run}).all():
        step = Step(row.parent_node_id, row.parent_path)
        if step.node_id not in legacy.acted or step in legacy.kept:
            continue
        left = of(session, row.id, was=row.version_id, version=row.newest)
        goes_on = row.version_id == row.newest and row.status in ("failed", "cancelled") and step in legacy.alike
        left = left if goes_on else replace(left, kept=frozenset(), alike=frozenset())
        yield left
        yield from below(session, left)


def hand_down(session: Session, legacy: Legacy, heir: UUID) -> None:
    """Let the new run begin with what is kept."""
    steps = orjson.dumps([{"node_id": step.node_id, "path": step.path} for step in legacy.kept]).decode()
    session.execute(_COPY, {"new": heir, "old": str(legacy.run), "old_id": legacy.run, "steps": steps})
