"""What a drill says while it goes on: sentences with the time of day, and when each step was done."""

import time
from contextlib import suppress
from dataclasses import dataclass, field


def say(sentence: str) -> None:
    """Print a sentence, if anybody still reads."""
    with suppress(BrokenPipeError):
        print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)


@dataclass
class Clock:
    """Prints and keeps when each step of the recovery was done, in seconds since the disaster."""

    begun: float = field(default_factory=time.time)
    steps: dict[str, float] = field(default_factory=dict)

    def done(self, step: str) -> None:
        """A step is done now."""
        self.steps[step] = time.time() - self.begun
        say(f"{self.steps[step]:6.1f} s  {step}")
