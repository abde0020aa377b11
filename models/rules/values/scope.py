"""The variables that a step's expressions see, and the fuel that a run's expressions may use."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

from models.errors import ForgeError
from models.rules.values.run_limits import RUN_LIMITS
from models.serialization import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RunFuelSpent(ForgeError):
    """The expressions of a run have used all their fuel."""

    code = "run_fuel_spent"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The expressions of this run have used up their {limit // 10**6:,} million instructions; "
            "compute less, or split the workflow."
        )


@dataclass
class FuelMeter:
    """Counts the fuel that a run's expressions use, in instructions. Only its driver's thread uses it."""

    spent: int = 0
    limit: int = RUN_LIMITS.fuel

    def left(self) -> int:
        """The remaining fuel; raises `RunFuelSpent` if none remains."""
        if self.spent >= self.limit:
            raise RunFuelSpent(self.limit)
        return self.limit - self.spent


@dataclass(frozen=True)
class Scope:
    """The variables of a step, the time of its clock (`moment`) and the `seed` of its random numbers.

    A resumed run that repeats the step uses the same time, seed and order of evaluations.
    """

    variables: Mapping[str, Json]
    moment: datetime = _EPOCH
    seed: str = ""
    meter: FuelMeter = field(default_factory=FuelMeter)
    _evaluations: Iterator[int] = field(default_factory=count, repr=False, compare=False)

    def plus(self, **variables: Json) -> "Scope":
        """A copy of this scope with additional variables."""
        return replace(self, variables={**self.variables, **variables})

    @property
    def clock_ms(self) -> int:
        """The time of the clock, in milliseconds since 1970."""
        return (self.moment - _EPOCH) // (datetime.resolution * 1_000)

    def next_seed(self) -> int:
        """The seed of the next evaluation, of 32 bits."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {next(self._evaluations)}".encode()).digest()[:4], "big")
