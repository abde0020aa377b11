"""`decision`: routes. One condition with the ports `true` and `false`, or cases with a port each and `default`."""

from collections.abc import Mapping

from models.rules.effects import Done
from models.rules.expressions import Expression, ExpressionFailed
from models.rules.fields import kind_of
from models.rules.kinds import Config, Field, NodeCall, NodeKind


def begin(call: NodeCall) -> Done:
    """Choose a port and pass on what comes in; raises `ExpressionFailed` when a condition is not true or false."""
    cases = call.config.get("cases")
    if cases:
        port = next((name for name, condition in cases if _holds(condition, call)), "default")
        return Done(call.incoming, port)
    condition = call.config.get("condition")
    return Done(call.incoming, "true" if condition is None or _holds(condition, call) else "false")


def _holds(condition: Expression, call: NodeCall) -> bool:
    answer = condition.evaluate(call.scope)
    if not isinstance(answer, bool):
        sentence = f"A condition must be true or false, not {kind_of(answer)}; compare it with something."
        raise ExpressionFailed(sentence).located(condition.place)
    return answer


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
    fields=(Field("condition", "condition"), Field("cases", "cases")),
    begin=begin,
    ports=ports,
    findings=_findings,
)
