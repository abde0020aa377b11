"""`output`: a result of the run, as JSON or as text."""

from models.rules.graph.effects import Done
from models.rules.graph.kinds import Field, NodeCall, NodeKind
from models.rules.values.json_values import value_text


def begin(call: NodeCall) -> Done:
    """The value; by default the incoming data."""
    value = call.config.get("value", call.incoming)
    return Done(value_text(value) if call.config.get("outputType") == "text" else value)


KIND = NodeKind(
    type="output",
    title="Output",
    help="Returns a result of the run.",
    result="The value.",
    fields=(
        Field(
            "outputType",
            "choice",
            choices=("json", "text"),
            title="Type",
            help="Any value, or its text.",
            default="json",
        ),
        Field(
            "value",
            "value",
            title="Value",
            help="Without one, the data that comes in.",
            examples=({"answer": "{{ nodes.agent.output.text }}"},),
        ),
    ),
    begin=begin,
)
