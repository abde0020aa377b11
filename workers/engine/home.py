"""Where the children of a run come from and go home to: its steps."""

from collections.abc import Callable

from models.errors import ForgeError
from models.rules.effects import Done
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services.journal import Progress
from models.services.leases import PastStep
from workers.engine.children import Child
from workers.engine.endings import Reason
from workers.engine.steps import Steps
from workers.engine.waits import Wait

OnLost = Callable[[Progress | None, Exception], None]


class StepsHome:
    """What `Children` need of the steps of their run, and of its driver when a write was refused."""

    def __init__(self, steps: Steps, on_lost: OnLost) -> None:
        self._steps = steps
        self.lost = on_lost

    def under_way(self) -> list[Step]:
        """The steps that may still have to be paid."""
        return self._steps.under_way()

    def wait_for(self, wait: Wait) -> None:
        """Go on when this wait is over."""
        self._steps.wait_for(wait)

    def block(self, child: Child) -> None:
        """The credits do not reach for it now: it stands in line again, at the attempt that it had come to."""
        steps = self._steps
        steps.past[child.step] = PastStep(NodeStatus.RUNNING, child.attempt, started_at=child.started_at)
        steps.blocked.append(child.step)

    def unblock(self) -> None:
        """There may be more credits than before."""
        self._steps.unblock()

    def succeed(self, child: Child, output: object) -> None:
        """Its run came to a good end."""
        done: Done = self._steps.workflow.kinds[child.step.node_id].finish(child.call, output)
        self._steps.succeed(child.row(NodeStatus.SUCCESS), done)

    def fail(self, child: Child, error: ForgeError) -> None:
        """There is no run, or it came to a bad end for good."""
        self._steps.fail(child.row(NodeStatus.FAILED), error)

    def cancelled(self) -> None:
        """Somebody asked for the end of the run itself."""
        self._steps.stop(Reason.cancelled())
