"""`merge`: joins branches: waits for all that are taken, or continues with the first one."""

from models.rules.graph.effects import Done
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind


def begin(call: NodeCall) -> Done:
    """In mode `all`, the outputs of the taken branches by node id; in mode `any`, the output of the first one."""
    return Done(call.incoming if joins_any(call.config) else dict(call.arrived))


def joins_any(config: Config) -> bool:
    """Whether the node runs as soon as one of its connections is taken."""
    mode = config.get("mode")
    return isinstance(mode, str) and mode.lower() == "any"


KIND = NodeKind(
    type="merge",
    title="Merge",
    help="Joins branches.",
    result="With `all` the outputs of the taken branches by node, with `any` the output of the first one.",
    fields=(
        Field(
            "mode",
            "choice",
            choices=("all", "any"),
            title="Waits for",
            help="All branches that are taken, or the first one.",
            default="all",
        ),
    ),
    begin=begin,
    joins_any=joins_any,
)
