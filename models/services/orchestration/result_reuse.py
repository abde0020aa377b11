"""Reuse of an ended run's results by a retry: those that would be the same again, which are not charged again.

The caller has locked the ended run, so that its rows are not removed meanwhile.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.reuse import begun_alike, reusable
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.graph import Graph, parse
from models.serialization import to_json
from models.services.orchestration import leases
from models.services.orchestration.leases import PastStep
from models.services.orchestration.run_size import ROW_BYTES, json_bytes

_COPY = text("""
    INSERT INTO node_executions (execution_id, node_id, path, status, attempt, port, output, started_at, finished_at,
                                 external_ref)
    SELECT :new, n.node_id, n.path, n.status, n.attempt, n.port, n.output, n.started_at, n.finished_at,
           jsonb_build_object('reusedFrom', CAST(:old AS text))
      FROM node_executions n
      JOIN jsonb_to_recordset(CAST(:steps AS jsonb)) AS kept(node_id text, path text) USING (node_id, path)
     WHERE n.execution_id = :old_id
""")

_GROW = text("UPDATE workflow_executions SET stored_bytes = stored_bytes + :more WHERE id = :id")

# The last child run of the same step in the run that the parent retries, if it has the same version and input.
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

# The last child run of each step, if its workflow, or one that it runs, may have nodes with `sideEffects: once`.
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
class ReusableResults:
    """The recorded steps of an ended run, and those of them whose results a new run can reuse."""

    run: UUID
    graph: Graph  # of the new run
    past: Mapping[Step, PastStep]
    kept: Set[Step]  # whose results are reused
    alike: Set[Step]  # that begin with the same input again

    @property
    def credits(self) -> Decimal:
        """The credits that the reuse saves."""
        return sum((self.past[step].credits for step in self.kept), Decimal(0))

    @property
    def done(self) -> set[str]:
        """Ids of the nodes outside of loops that do not run again."""
        return {step.node_id for step in self.kept if not step.path}

    @property
    def acted(self) -> set[str]:
        """Ids of the nodes that began and will run again."""
        begun = (step for step, row in self.past.items() if row.status is not NodeStatus.SKIPPED)
        return {step.node_id for step in begun if step not in self.kept and step.node_id in self.graph.nodes}


def reusable_results(session: Session, run: UUID, *, was: UUID, version: UUID) -> ReusableResults:
    """The results of a run of version `was` that a run of `version` can reuse; both may be the same."""
    before = parse(leases.graph(session, was))
    graph = before if version == was else parse(leases.graph(session, version))
    past = leases.history(session, run)
    states = {step: row.status for step, row in past.items()}
    return ReusableResults(run, graph, past, reusable(graph, states, before), begun_alike(graph, states, before))


def reusable_results_of_child(session: Session, child: UUID, version: UUID) -> ReusableResults | None:
    """The results that a child of a retry can reuse, from the child of the same step in the retried run.

    None if the parent is not a retry, or if version or input differ. The earlier child is locked.
    """
    before = session.scalar(_BEFORE, {"id": child})
    return reusable_results(session, before, was=version, version=version) if before else None


def reusable_results_below(session: Session, reusable: ReusableResults) -> Iterator[ReusableResults]:
    """The reusable results of the child runs that the new run starts again, if they may have nodes that act once."""
    for row in session.execute(_CHILDREN, {"run": reusable.run}).all():
        step = Step(row.parent_node_id, row.parent_path)
        if step.node_id not in reusable.acted or step in reusable.kept:
            continue
        found = reusable_results(session, row.id, was=row.version_id, version=row.newest)
        is_reused = row.version_id == row.newest and row.status in ("failed", "cancelled") and step in reusable.alike
        found = found if is_reused else replace(found, kept=frozenset(), alike=frozenset())
        yield found
        yield from reusable_results_below(session, found)


def copy_results(session: Session, reusable: ReusableResults, execution_id: UUID) -> None:
    """Copy the reusable results to the rows of the new run `execution_id`."""
    steps = to_json([{"node_id": step.node_id, "path": step.path} for step in reusable.kept])
    session.execute(_COPY, {"new": execution_id, "old": str(reusable.run), "old_id": reusable.run, "steps": steps})
    more = sum(ROW_BYTES + json_bytes(reusable.past[step].output) for step in reusable.kept)
    session.execute(_GROW, {"id": execution_id, "more": more})
