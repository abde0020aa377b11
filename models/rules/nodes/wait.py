"""`wait`: goes on after a while or at a moment, without holding a worker."""

from datetime import UTC, datetime

from models.rules.effects import Done, Sleep
from models.rules.expressions import ExpressionFailed
from models.rules.kinds import Config, Field, NodeCall, NodeKind

LONGEST = 90 * 24 * 3600.0  # seconds


def begin(call: NodeCall) -> Sleep:
    """How long; raises `ExpressionFailed` when `until` is no time."""
    until = call.config.get("until")
    if until is None:
        return Sleep(seconds=float(call.config.get("seconds", 0)))
    try:
        moment = datetime.fromisoformat(until.strip())
    except ValueError:
        raise ExpressionFailed(f"`until` must be a time such as 2027-01-31T09:00:00Z, not `{until[:40]}`.") from None
    return Sleep(until=moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def finish(call: NodeCall, _: None) -> Done:
    """Pass on what came in."""
    return Done(call.incoming)


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    given = [name for name in ("seconds", "until") if config.get(name) not in (None, "")]
    if len(given) == 2:
        return (("error", "until", "A wait has `seconds` or `until`, not both."),)
    if not given:
        return (("warning", "seconds", "A wait without `seconds` or `until` does not wait."),)
    return ()


KIND = NodeKind(
    type="wait",
    fields=(Field("seconds", "number", low=0, high=LONGEST), Field("until", "text")),
    begin=begin,
    finish=finish,
    findings=_findings,
    pure=False,
)
