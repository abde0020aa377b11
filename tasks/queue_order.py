"""Weighted round-robin of a worker's queues.

Strict priorities would starve the lowest queue, and plain round-robin would make priorities meaningless. So of ten
jobs six are of high priority, three of normal and one of low, as long as all three queues have jobs. When the queue
that is due has none, the highest queue that has one is served. Queues without a share are served round-robin.
"""

from collections.abc import Iterable

SHARES = {"executions.high": 6, "executions.normal": 3, "executions.low": 1}


def _spread(shares: dict[str, int]) -> tuple[str, ...]:
    """Spread the names evenly by their shares: the name that is furthest behind its share comes next."""
    owed = dict.fromkeys(shares, 0)
    order = []
    for _ in range(sum(shares.values())):
        for name, share in shares.items():
            owed[name] += share
        following = max(owed, key=lambda name: owed[name])
        owed[following] -= sum(shares.values())
        order.append(following)
    return tuple(order)


class WeightedRoundRobin:
    """A cycle in kombu's sense: `consume` returns the order of the queues, `rotate` records which one had a message."""

    _rounds = _spread(SHARES)

    def __init__(self) -> None:
        self._names: list[str] = []
        self._served = 0

    def update(self, names: Iterable[str]) -> None:
        """Set the queues that are consumed; those without a share, such as a worker's own, come first."""
        self._names = sorted(names, key=lambda name: -SHARES.get(name, 100))

    def consume(self, number: int) -> list[str]:
        """Return the next `number` queues to try, in order."""
        due = self._rounds[self._served % len(self._rounds)]
        return sorted(self._names, key=lambda name: name in SHARES and name != due)[:number]

    def rotate(self, last_used: str) -> str:
        """Record that a message came from the queue `last_used`."""
        if last_used in SHARES:
            self._served += 1
        elif last_used in self._names:
            self._names.remove(last_used)
            self._names.insert(sum(name not in SHARES for name in self._names), last_used)
        return last_used
