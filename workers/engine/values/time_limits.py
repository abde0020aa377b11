"""Time limits of nodes that make no attempts: they compute, wait, or repeat as a loop."""

from datetime import datetime, timedelta

from models.errors import ExpressionFailed, ForgeError
from models.rules.graph.effects import Done, Effect, Sleep
from models.rules.graph.graph import Node
from models.rules.nodes.wait import MAX_WAIT_SECONDS
from workers.engine.values import clock

DAY = 86_400  # seconds


class NodeTimedOut(ForgeError):
    """A node did not end within its `timeout` or `deadline`."""

    code = "node_timed_out"

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"The node did not end within {seconds or 0:g} seconds.")


def ends_at(node: Node, started_at: datetime) -> datetime | None:
    """When a node without attempts must have ended; None if only the run's deadline limits it."""
    return None if node.limit is None else started_at + timedelta(seconds=node.limit)


def checked(asked: Done | Effect, node: Node, started_at: datetime) -> Done | Effect:
    """Return the node's request if it can end in time.

    Raises:
        NodeTimedOut: the node took too long to compute its result.
        ExpressionFailed: the time to wait for is too far away.
    """
    now = clock.now()
    end = ends_at(node, started_at)
    if isinstance(asked, Done) and end is not None and now > end:
        raise NodeTimedOut(node.limit)
    if isinstance(asked, Sleep) and asked.until and asked.until > now + timedelta(seconds=MAX_WAIT_SECONDS):
        raise ExpressionFailed(
            f"`until` must be at most {MAX_WAIT_SECONDS / DAY:g} days away, and {asked.until} is not."
        )
    return asked
