"""The credits that a run can still spend. Owned by the driver's thread.

A step starts only if the run's cap covers it together with the steps in progress and the run's fee. A child run takes a
part of the cap when it starts, and the unspent rest is returned when it ends.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from models.rules.executions.schedule import Step
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values.compiled_workflow import CompiledWorkflow


class CreditBudget:
    """The budget of one run; `cap` is the credits held for it. Others may raise it, but only this driver lowers it."""

    def __init__(
        self,
        cap: Decimal,
        workflow: CompiledWorkflow,
        buffer: ProgressBuffer,
        left_open: Mapping[Step, Decimal] | None = None,
    ) -> None:
        self.cap = cap
        # The cost of giving up steps that an earlier driver left open. It is owed although this driver has not reached
        # them yet.
        self._left_open = dict(left_open or {})
        self._owed = sum(self._left_open.values(), Decimal(0))
        self._least_of: dict[Step, Decimal] = {}  # credits without which a step's child run could not start
        self.uncertain_reserve = Decimal(0)  # the part that child runs may have taken whose start is unconfirmed
        self._prices = workflow.prices
        self.least_run = workflow.price_list.least_run  # the minimum price of a child run
        self._buffer = buffer
        self._highest_price = max(workflow.prices.values(), default=Decimal(0))

    def surely_covers(self, step: Step, busy: int, *, child: bool = False) -> bool:
        """Whether this step may start beside any `busy` steps; cheap, but may be False although `covers` is True."""
        spent = self._spent(step) + (self.least_of(step) if child else 0)
        return spent + busy * self._highest_price <= self.cap

    def covers(self, step: Step, under_way: Iterable[Step], *, child: bool = False) -> bool:
        """Whether this step may start; with `child` it needs credits for its child run too."""
        return self.needed(step, under_way, child=child) <= self.cap

    def needed(self, step: Step, under_way: Iterable[Step], *, child: bool = False) -> Decimal:
        """The cap that this step needs to start."""
        return self._spent(step) + (self.least_of(step) if child else 0) + self._price(under_way)

    def take_over(self, step: Step) -> None:
        """Count a step that an earlier driver left open among those in progress."""
        self._owed -= self._left_open.pop(step, Decimal(0))

    def least_of(self, step: Step) -> Decimal:
        """The minimum cost of the child run of this step, as far as it is known."""
        return self._least_of.get(step, self.least_run)

    def require(self, step: Step, least: Decimal) -> None:
        """Record the minimum cost of the child run of this step."""
        self._least_of[step] = least

    def spare(self, step: Step, under_way: Iterable[Step]) -> Decimal:
        """The maximum for the child run of this step; the steps in progress need the rest."""
        return self.cap - self._spent(step) - self._price(under_way)

    def _spent(self, step: Step) -> Decimal:
        owed = self._owed - self._left_open.get(step, Decimal(0)) + self._buffer.fee_due
        return self._buffer.charged + self.uncertain_reserve + owed + self._prices[step.node_id]

    def _price(self, steps: Iterable[Step]) -> Decimal:
        return sum((self._prices[step.node_id] for step in steps), Decimal(0))
