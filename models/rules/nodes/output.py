"""`output`: a result of the run, as JSON or as text."""

from models.rules.effects import Done
from models.rules.kinds import Field, NodeCall, NodeKind
from models.rules.templates import value_text


def begin(call: NodeCall) -> Done:
    """The value, by default what comes in."""
    value = call.config.get("value", call.incoming)
    return Done(value_text(value) if call.config.get("outputType") == "text" else value)


KIND = NodeKind(
    type="output",
    fields=(Field("outputType", "choice", choices=("json", "text")), Field("value", "value")),
    begin=begin,
)
