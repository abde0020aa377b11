"""The steps of a run: each node, in each of its iterations, with its input and output."""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import steps_page, steps_query
from api.http.parsing import query, show
from api.http.session import db
from api.openapi import Page, describes
from api.schemas.executions.executions import LogOut
from api.schemas.executions.steps import ExcerptOut, StepDataQuery, StepDetailOut, StepOut, StepQuery, StepsQuery
from models.rules.executions.schedule import Step
from models.rules.values.excerpts import excerpt
from models.services.steps import steps

bp = Blueprint("steps", __name__, url_prefix="/executions/<uuid:execution_id>/steps")

DATA_ERRORS = ("history_expired", "expression_failed", "run_fuel_spent")


@bp.get("")
@signed_in
@describes(response=Page("steps", StepOut), query=StepsQuery, errors=("history_expired",))
def index(execution_id: UUID) -> ResponseReturnValue:
    """List the steps that a run came to, ordered by node and iteration, without their data."""
    args = steps_query(StepsQuery)
    rows = steps.list_of(db(), current_user(), execution_id, **args)
    return steps_page(show(StepOut, rows, many=True), rows, args)


@bp.get("/<node_id>")
@signed_in
@describes(response=StepDetailOut, query=StepQuery, errors=("history_expired",))
def get(execution_id: UUID, node_id: str) -> ResponseReturnValue:
    """Get a step with excerpts of its input and output, and its newest events."""
    step = Step(node_id, query(StepQuery)["path"])
    detail = steps.get(db(), current_user(), execution_id, step)
    data = {"input": excerpt(detail.input), "output": excerpt(detail.row.output)}
    shown = {name: show(ExcerptOut, value) for name, value in data.items()}
    return {**show(StepOut, detail.row), **shown, "events": show(LogOut, detail.events, many=True)}


@bp.get("/<node_id>/<any('input', 'output'):data>")
@signed_in
@describes(response=ExcerptOut, query=StepDataQuery, errors=DATA_ERRORS)
def data(execution_id: UUID, node_id: str, data: str) -> ResponseReturnValue:
    """Get a part of the input or the output of a step: what is at a JSON pointer, page by page."""
    args = query(StepDataQuery)
    value = steps.data(db(), current_user(), execution_id, Step(node_id, args["path"]), part=data)
    return show(ExcerptOut, excerpt(value, args["pointer"], offset=args["offset"], limit=args["limit"]))
