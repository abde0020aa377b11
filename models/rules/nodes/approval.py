"""`approval`: waits for a person's decision, without holding a worker."""

from models.rules.graph.effects import ApprovalResult, Ask, Done
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind

MAX_TIMEOUT_SECONDS = 90 * 24 * 3600.0  # seconds


def begin(call: NodeCall) -> Ask:
    """The question; its time limit is the shorter one of the config's and the node's."""
    given = (call.config.get("timeout"), call.node.limit)
    timeout = min((float(seconds) for seconds in given if seconds is not None), default=None)
    return Ask(call.config.get("message") or call.node.label, timeout)


def finish(call: NodeCall, decision: ApprovalResult) -> Done:
    """The decision, with the data that came in."""
    port = {True: "approved", False: "rejected", None: "timeout"}[decision.approved]
    return Done({"approved": decision.approved, "comment": decision.comment, "data": call.incoming}, port)


def ports(_: Config) -> tuple[str, ...]:
    """The ports of an approval."""
    return ("approved", "rejected", "timeout")


KIND = NodeKind(
    type="approval",
    title="Approval",
    help="Waits until a person approves or rejects.",
    result="`approved`, `comment`, and `data`, which came in.",
    fields=(
        Field(
            "message",
            "text",
            title="Question",
            help="What the person decides. Without one, the label of the node.",
            format="multiline",
            examples=("Send this answer to {{ data.email }}?",),
        ),
        Field(
            "timeout",
            "number",
            low=1,
            high=MAX_TIMEOUT_SECONDS,
            title="Time to answer",
            help="After it the node takes the port `timeout`. Without one it waits as long as the run may last.",
            unit="seconds",
            examples=(86_400,),
        ),
    ),
    begin=begin,
    finish=finish,
    ports=ports,
)
