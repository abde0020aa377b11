"""Expressions, evaluated for an editor while they are written."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body, show
from api.http.session import db
from api.limits.heavy import queued
from api.openapi import describes
from api.schemas.executions.expressions import EvaluatedOut, EvaluateIn
from api.schemas.executions.steps import ExcerptOut
from models.rules.executions.schedule import Step
from models.rules.values.excerpts import excerpt
from models.services.steps import evaluation
from models.services.steps.evaluation import Evaluated

bp = Blueprint("expressions", __name__, url_prefix="/expressions")


@bp.post("/evaluate")
@signed_in
@queued
@describes(
    response=EvaluatedOut,
    body=EvaluateIn,
    errors=("not_found", "history_expired", "expression_failed", "run_fuel_spent"),
)
def evaluate() -> ResponseReturnValue:
    """Evaluate an expression over the data that a step of a run saw, or over given data."""
    args = body(EvaluateIn)
    if args["data"] is not None:
        scope = evaluation.scope_of_data(args["data"])
    else:
        step = Step(args["node_id"], args["path"])
        scope = evaluation.scope_of_step(db(), current_user(), args["execution_id"], step)
    return _shown(evaluation.evaluate(args["expression"], args["mode"], scope))


def _shown(found: Evaluated) -> dict[str, Any]:
    if found.error is None:
        return {"value": show(ExcerptOut, excerpt(found.value)), "error": None, "fuel": found.fuel}
    line, column = found.position or (None, None)
    sentence = getattr(found.error, "sentence", found.error.detail)
    error = {"code": found.error.code, "message": sentence, "line": line, "column": column}
    return {"value": None, "error": error, "fuel": found.fuel}
