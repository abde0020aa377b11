"""`approval`: pauses until a person answers, without holding a worker."""

from models.rules.effects import Ask, Done, Verdict
from models.rules.kinds import Config, Field, NodeCall, NodeKind

LONGEST = 90 * 24 * 3600.0  # seconds


def begin(call: NodeCall) -> Ask:
    """The question."""
    timeout = call.config.get("timeout")
    return Ask(call.config.get("message") or call.node.label, None if timeout is None else float(timeout))


def finish(call: NodeCall, verdict: Verdict) -> Done:
    """What was decided, with the data that it was about."""
    port = {True: "approved", False: "rejected", None: "timeout"}[verdict.approved]
    return Done({"approved": verdict.approved, "comment": verdict.comment, "data": call.incoming}, port)


def ports(_: Config) -> tuple[str, ...]:
    """The ports of an approval."""
    return ("approved", "rejected", "timeout")


KIND = NodeKind(
    type="approval",
    fields=(Field("message", "text"), Field("timeout", "number", low=1, high=LONGEST)),
    begin=begin,
    finish=finish,
    ports=ports,
    pure=False,
)
