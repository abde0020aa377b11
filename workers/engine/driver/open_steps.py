"""The steps of one run that have begun and are not settled: counted, and given up together."""

from dataclasses import dataclass

from models.rules.executions.schedule import Schedule, Step
from models.services.orchestration.leases import PastStep
from workers.engine.attempts import resumption
from workers.engine.attempts.runner import AttemptRunner
from workers.engine.driver.child_runs import ChildRuns
from workers.engine.driver.child_step import ChildStep
from workers.engine.driver.loops import Loops
from workers.engine.driver.paused_steps import PausedStep, PausedSteps
from workers.engine.journal.progress_buffer import ProgressBuffer


@dataclass(frozen=True)
class OpenSteps:
    """Owned by the driver's thread. `past` is the steps that earlier drivers left and this one has not reached."""

    schedule: Schedule
    buffer: ProgressBuffer
    past: dict[Step, PastStep]
    attempts: AttemptRunner
    children: ChildRuns
    paused: PausedSteps
    loops: Loops

    @property
    def count(self) -> int:
        """The number of open steps."""
        return len(self.attempts) + len(self.loops) + len(self.paused) + len(self.children)

    def steps(self) -> list[Step]:
        """The steps that may still have to be paid."""
        return [*(work.step for work in (*self.attempts, *self.paused, *self.children)), *self.loops]

    def stop(self, *, charged: bool) -> None:
        """Stop the calls in progress for an early end of the run; with `charged` sent ones are paid."""
        for attempt in self.attempts:
            self.attempts.stop(attempt, charged=charged)
        for child in self.children:
            self.children.give_up(child, charged=charged)

    def close(self, *, charged: bool) -> None:
        """Give up paused steps, steps that earlier drivers left open, and loops, when nothing runs any more."""
        for paused in self.paused:
            self._give_up(paused, charged=charged)
        self.attempts.give_up_left_open(self.past, charged=charged)
        self.loops.close()

    def give_up_inside(self, loop: Step, *, charged: bool) -> None:
        """Give up everything open inside a loop that fails."""
        for attempt in self.attempts:
            if self.schedule.is_inside(attempt.step, loop):
                self.attempts.stop(attempt, charged=charged)
        for paused in (*self.paused, *self.children):
            if self.schedule.is_inside(paused.step, loop):
                self._give_up(paused, charged=charged)
        self.attempts.give_up_left_open(resumption.take_inside(self.past, loop, self.schedule), charged=charged)

    def _give_up(self, paused: PausedStep, *, charged: bool) -> None:
        self.paused.drop(paused)
        if isinstance(paused, ChildStep):
            self.children.give_up(paused, charged=charged)
        else:
            self.buffer.node(paused.cancelled(charged=charged))
