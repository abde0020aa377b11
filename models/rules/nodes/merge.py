"""`merge`: joins branches, waiting for all that are taken, or going on with the first."""

from models.rules.effects import Done
from models.rules.kinds import Config, Field, NodeCall, NodeKind


def begin(call: NodeCall) -> Done:
    """Mode all: the outputs of the branches taken, by node id. Mode any: the output of the first."""
    return Done(call.incoming if joins_any(call.config) else dict(call.arrived))


def joins_any(config: Config) -> bool:
    """Whether it runs at the first connection taken."""
    mode = config.get("mode")
    return isinstance(mode, str) and mode.lower() == "any"


KIND = NodeKind(
    type="merge", fields=(Field("mode", "choice", choices=("all", "any")),), begin=begin, joins_any=joins_any
)
