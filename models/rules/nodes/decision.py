"""`decision`: chooses a port: `true` or `false` by a condition, or the port of the first case that holds."""

from collections.abc import Mapping

from models.errors import ExpressionFailed
from models.rules.expressions.evaluate import Expression
from models.rules.graph.effects import Done
from models.rules.graph.fields import kind_of
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind


def begin(call: NodeCall) -> Done:
    """Choose a port and pass on the incoming data; raises `ExpressionFailed` if a condition is not a boolean."""
    cases = call.config.get("cases")
    if cases:
        port = next((name for name, condition in cases if _holds(condition, call)), "default")
        return Done(call.incoming, port)
    condition = call.config.get("condition")
    return Done(call.incoming, "true" if condition is None or _holds(condition, call) else "false")


def _holds(condition: Expression, call: NodeCall) -> bool:
    result = condition.evaluate(call.scope)
    if not isinstance(result, bool):
        sentence = f"A condition must be true or false, not {kind_of(result)}; compare it with something."
        raise ExpressionFailed(sentence).located(condition.location)
    return result


def ports(config: Config) -> tuple[str, ...]:
    """The ports that this decision offers."""
    cases = config.get("cases")
    if not isinstance(cases, list):
        return ("true", "false")
    names = (case.get("name") for case in cases if isinstance(case, Mapping))
    return (*(name for name in names if isinstance(name, str)), "default")


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    given = config.get("condition") not in (None, "")
    if given and config.get("cases") is not None:
        return (("error", "cases", "A decision has a condition or cases, not both."),)
    if not given and config.get("cases") is None:
        return (("warning", "condition", "A decision without a condition always takes the port `true`."),)
    return ()


KIND = NodeKind(
    type="decision",
    title="Decision",
    help="Chooses a port by a condition, or by the first of several cases that holds.",
    result="The data that came in.",
    fields=(
        Field(
            "condition",
            "condition",
            title="Condition",
            help="True takes the port `true`, false the port `false`. Set a condition or cases, not both.",
            examples=("data.amount > 100",),
        ),
        Field(
            "cases",
            "cases",
            title="Cases",
            help="Each is a port; the first one that holds is taken, else the port `default`.",
            examples=([{"name": "large", "condition": "data.amount > 100"}],),
        ),
    ),
    ports_by="cases",
    begin=begin,
    ports=ports,
    findings=_findings,
)
