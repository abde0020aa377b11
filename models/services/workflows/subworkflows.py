"""Validates the workflows that a graph runs, in their current versions: whether they may run, and their worst case.

This is done when a workflow is shown, when a run is submitted and when a child run starts, because they may change in
between.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from models.rules.lint.agents import judge_agents
from models.rules.lint.subworkflows import MAX_DEPTH, Called, CallValidation, SubworkflowCall, judge
from models.rules.prices.pricing import CURRENT, PriceList
from models.serialization import Json
from models.services.workflows import estimates, openclaw_agents
from models.services.workflows import workflow_limits as limits
from models.tables import User, Workflow, WorkflowVersion

NOTHING_BELOW = CallValidation((), Decimal(0))


def validate_calls(session: Session, owner: User, calls: Sequence[SubworkflowCall]) -> CallValidation:
    """Validate the calls of a graph."""
    return judge(calls, _known(session, owner, calls, CURRENT))


def validate_all_calls(session: Session, owner: User, kept: Mapping[UUID, Json]) -> dict[UUID, CallValidation]:
    """Validate the stored `calls` of many workflows, by their ids; workflows without calls are left out."""
    calls = {workflow_id: _read(each) for workflow_id, each in kept.items() if each}
    known = _known(session, owner, [call for each in calls.values() for call in each], CURRENT)
    return {workflow_id: judge(each, known) for workflow_id, each in calls.items()}


def below(session: Session, owner: User, kept: Json, *, depth: int = 0, prices: PriceList = CURRENT) -> CallValidation:
    """Validate the stored `calls` of a version that runs at `depth`; makes no query for a version without calls."""
    if not kept:
        return NOTHING_BELOW
    calls = _read(kept)
    return judge(calls, _known(session, owner, calls, prices), depth)


def _read(kept: Json) -> tuple[SubworkflowCall, ...]:
    return tuple(SubworkflowCall.from_json(call) for call in kept)


def _known(session: Session, owner: User, calls: Sequence[SubworkflowCall], prices: PriceList) -> dict[UUID, Called]:
    """Every workflow that the calls reach, loaded level by level."""
    known: dict[UUID, Called] = {}
    missing = {call.workflow_id for call in calls}
    for _ in range(MAX_DEPTH):
        if not missing:
            break
        known |= (found := _newest(session, owner, missing, prices))
        missing = {call.workflow_id for called in found.values() for call in called.calls} - known.keys()
    return known


def _newest(session: Session, owner: User, ids: set[UUID], prices: PriceList) -> dict[UUID, Called]:
    version = WorkflowVersion
    rows = session.execute(
        select(
            Workflow.id,
            Workflow.name,
            version.node_count,
            version.id.label("version_id"),
            version.worst_case_credits,
            version.price_list,
            version.calls,
            version.agents,
            version.lint_errors[0]["message"].astext.label("problem"),
            limits.is_surplus(owner).label("surplus"),
        )
        .select_from(Workflow)
        .join(Workflow.latest)
        .where(Workflow.id.in_(ids), Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))
    ).all()
    offered = openclaw_agents.offered(session) if any(row.agents for row in rows) else None
    return {
        row.id: Called(
            row.name,
            _cost(session, row, prices),
            tuple(SubworkflowCall.from_json(call) for call in row.calls),
            _problem(owner, row, offered),
        )
        for row in rows
    }


def _problem(owner: User, row: Row[Any], offered: Sequence[str] | None) -> str | None:
    """Why a workflow cannot run, as a sentence; None if it can."""
    read_only = limits.why_read_only(owner.subscription_tier, surplus=row.surplus, nodes=row.node_count)
    unknown = [finding.message for finding in judge_agents(row.agents, offered)]
    return read_only or row.problem or next(iter(unknown), None)


def _cost(session: Session, row: Row[Any], prices: PriceList) -> Decimal:
    """The worst case of a workflow; that of a broken graph is not computed, because it stops the run anyway."""
    stored: Decimal = row.worst_case_credits
    return stored if row.problem else estimates.by(session, prices, row.version_id, stored, row.price_list)
