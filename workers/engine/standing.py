"""A run that is held and not driven, because it waits for its turn or because a process of its own drives it."""

from models.rules.deadlines import run_timed_out
from models.services.leases import Lease
from workers.engine.endings import Reason, verdict_on_arrival


class Standing:
    """Remembers what its keeper says meanwhile, for whoever waits. Thread-safe."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.reason = verdict_on_arrival(lease)  # why it must end before it begins
        self.lost = False
        self.leaving = False

    @property
    def is_called(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.leaving or self.lost or self.reason is not None

    def cancel(self) -> None:
        """Somebody asked for the run's end."""
        self.reason = self.reason or Reason.cancelled()

    def time_out(self) -> None:
        """The run's deadline has passed."""
        self.reason = self.reason or Reason.failed(run_timed_out(self._lease.deadline))

    def wake(self) -> None:
        """Somebody answered a question of the run: its next driver will look."""

    def lose(self) -> None:
        """Another one holds the run now."""
        self.lost = True

    def hand_over(self) -> None:
        """The process is leaving."""
        self.leaving = True
