"""`wait`: waits for a number of seconds or until a time, without holding a worker."""

from models.errors import ExpressionFailed
from models.rules.expressions.templates import is_template
from models.rules.graph.effects import Done, Sleep
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind
from models.rules.values.moments import InvalidMoment, parse_moment
from models.serialization import Json

MAX_WAIT_SECONDS = 90 * 24 * 3600.0  # seconds
LAST_YEAR = 2100  # beyond the longest wait of any run


def begin(call: NodeCall) -> Sleep:
    """The wait; raises `ExpressionFailed` if `until` is not a time."""
    until = call.config.get("until")
    if until is None:
        return Sleep(seconds=float(call.config.get("seconds", 0)))
    try:
        return Sleep(until=parse_moment(until.strip()))
    except InvalidMoment as error:
        raise ExpressionFailed(f"`until` {error}") from None


def finish(call: NodeCall, _: None) -> Done:
    """Pass on the incoming data."""
    return Done(call.incoming)


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    given = [name for name in ("seconds", "until") if config.get(name) not in (None, "")]
    if len(given) == 2:
        return (("error", "until", "A wait has `seconds` or `until`, not both."),)
    if not given:
        return (("warning", "seconds", "A wait without `seconds` or `until` does not wait."),)
    sentence = _problem(config.get("until"))
    return (("error", "until", sentence),) if sentence else ()


def _problem(until: Json) -> str | None:
    """Why a constant `until` is invalid, as a sentence; None if it is valid or computed at run time."""
    if not isinstance(until, str) or not until or is_template(until):
        return None
    try:
        moment = parse_moment(until.strip())
    except InvalidMoment as error:
        return f"`until` {error}"
    if moment.year >= LAST_YEAR:
        return f"`until` must be at most {MAX_WAIT_SECONDS / 86_400:g} days after the run comes to this node."
    return None


KIND = NodeKind(
    type="wait",
    title="Wait",
    help="Waits for a time, without holding a worker.",
    result="The data that came in.",
    fields=(
        Field(
            "seconds",
            "number",
            low=0,
            high=MAX_WAIT_SECONDS,
            title="For",
            help="Set seconds or until, not both.",
            unit="seconds",
            examples=(3_600,),
        ),
        Field(
            "until",
            "text",
            title="Until",
            help="A date or a time, in UTC unless it says its offset; a time in the past does not wait.",
            format="date-time",
            examples=("2027-01-31T09:00:00Z",),
        ),
    ),
    begin=begin,
    finish=finish,
    findings=_findings,
)
