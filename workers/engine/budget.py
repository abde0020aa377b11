"""What a run's credits still cover. Owned by the driver's thread.

The next step starts only if the run's cap covers it together with those under way and the run's fee. A child takes its
part of the cap with it when it starts, and what it did not spend comes back when it ends.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from models.rules.schedule import Step
from workers.engine.recorder import Recorder
from workers.engine.workflow import Workflow

Busy = Callable[[], Iterable[Step]]


class Budget:
    """`cap` is what is held for the run now; it may have grown meanwhile, but never shrunk without us."""

    def __init__(self, cap: Decimal, workflow: Workflow, recorder: Recorder) -> None:
        self.cap = cap
        self.unsure = Decimal(0)  # of it, what children may have taken whose start nobody confirmed
        self._prices = workflow.prices
        self._fee = workflow.price_list.fee
        self.least_run = workflow.price_list.least_run  # a child costs no less
        self._recorder = recorder
        self._dearest = max(workflow.prices.values(), default=Decimal(0))

    def covers(self, step: Step, busy: int, under_way: Busy, *, child: bool = False) -> bool:
        """Whether this step may start; with `child`, it starts a run that must be able to do something."""
        spent = self._spent(step) + (self.least_run if child else 0)
        if spent + busy * self._dearest <= self.cap:
            return True
        return spent + self._price(under_way()) <= self.cap

    def spare(self, step: Step, under_way: Busy) -> Decimal:
        """What the run that this step starts may cost at most; the steps under way need the rest."""
        return self.cap - self._spent(step) - self._price(under_way())

    def _spent(self, step: Step) -> Decimal:
        return self._recorder.charged + self.unsure + self._prices[step.node_id] + self._fee

    def _price(self, steps: Iterable[Step]) -> Decimal:
        return sum((self._prices[step.node_id] for step in steps), Decimal(0))
