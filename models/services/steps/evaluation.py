"""Evaluates an expression of an editor over the data of a step, or over data that the editor has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from models.errors import ExpressionError, ForgeError
from models.rules.executions.schedule import Step
from models.rules.expressions.evaluate import Expression, Mode
from models.rules.expressions.references import NAMES
from models.rules.expressions.templates import compile_bare, compile_template
from models.rules.values.scope import FuelMeter, RunFuelSpent, Scope
from models.services.executions import executions
from models.services.steps.scope import RecordedRun, StepScope
from models.tables import User

Json = Any
EVALUATION_FUEL = 100_000_000  # instructions of one evaluation; a tenth of a second


@dataclass(frozen=True)
class Evaluated:
    """The value of an expression, or why it has none; `position` is the line and column of a syntax error, from 1."""

    value: Json = None
    fuel: int = 0
    error: ForgeError | None = None
    position: tuple[int, int] | None = None


def scope_of_step(session: Session, owner: User, execution_id: UUID, step: Step) -> Scope:
    """The variables that a step saw; raises `NotFound`, and `ExpressionFailed` for a loop around it that fails."""
    run = RecordedRun(session, executions.get(session, owner, execution_id))
    return StepScope(run, step, FuelMeter(limit=EVALUATION_FUEL)).scope()


def scope_of_data(data: Mapping[str, Json]) -> Scope:
    """The variables in `data`; those that it has not are null."""
    variables = {name: data.get(name) for name in NAMES} | {"nodes": data.get("nodes") or {}}
    return Scope(variables, datetime.now(UTC), "evaluation", FuelMeter(limit=EVALUATION_FUEL))


def evaluate(text: str, mode: Mode | Literal["template"], scope: Scope) -> Evaluated:
    """Evaluate `text`: with `{{ }}` in it, or as an expression or a function body; errors are part of the result."""
    before = scope.meter.spent
    try:
        compiled = _compiled(text, mode, frozenset(scope.variables["nodes"]))
        value = compiled.evaluate(scope) if isinstance(compiled, Expression) else compiled.render(scope)
    except ExpressionError as error:
        return Evaluated(error=error, position=error.position)
    except RunFuelSpent:
        return Evaluated(fuel=scope.meter.spent - before, error=TooMuchToEvaluate())
    except ForgeError as error:
        return Evaluated(fuel=scope.meter.spent - before, error=error)
    return Evaluated(value, scope.meter.spent - before)


class TooMuchToEvaluate(ForgeError):
    """The expression takes more instructions than an evaluation in an editor may; a run has more."""

    code = "too_much_to_evaluate"

    def __init__(self) -> None:
        super().__init__(f"It takes more than {EVALUATION_FUEL // 10**6:,} million instructions; a run may use more.")


def _compiled(text: str, mode: Mode | Literal["template"], node_ids: frozenset[str]) -> Any:
    return compile_template(text, node_ids) if mode == "template" else compile_bare(text, node_ids, mode)
