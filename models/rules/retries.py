"""How long to wait before the next attempt."""

from models.rules.graph import Retry

LONGEST = 600.0  # seconds that a run is willing to wait for a provider that asks for patience


def delay(retry: Retry, attempt: int, *, chance: float, asked: float | None = None) -> float:
    """Seconds between attempt number `attempt` (from 1) and the next one.

    Args:
        chance: 0 to 1; spreads the attempts of many runs over the upper half of the interval.
        asked: seconds that the other side wants us to stay away, which we never undercut.
    """
    interval = min(retry.max_interval, retry.initial_interval * retry.backoff ** (attempt - 1))
    return min(LONGEST, max(interval * (0.5 + chance / 2), asked or 0.0))
