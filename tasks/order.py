"""In which order a worker looks into its queues when several of them have messages.

Neither strictly by priority, which would starve the lowest, nor in turn, which would make priorities meaningless: of
ten jobs six are of high priority, three of normal and one of low, as long as all three wait. When the one whose turn it
is has none, the highest that has one is served. Queues without a share take turns.
"""

from collections.abc import Iterable

SHARES = {"executions.high": 6, "executions.normal": 3, "executions.low": 1}


def _spread(shares: dict[str, int]) -> tuple[str, ...]:
    """Each as often as its share says, evenly: whoever is furthest behind it is next."""
    owed = dict.fromkeys(shares, 0)
    order = []
    for _ in range(sum(shares.values())):
        for name, share in shares.items():
            owed[name] += share
        following = max(owed, key=lambda name: owed[name])
        owed[following] -= sum(shares.values())
        order.append(following)
    return tuple(order)


class WeightedOrder:
    """What kombu calls a cycle: `consume` tells the order of the next look, `rotate` hears what it found."""

    _rounds = _spread(SHARES)

    def __init__(self) -> None:
        self._names: list[str] = []
        self._served = 0

    def update(self, names: Iterable[str]) -> None:
        """The queues that are consumed now; those without a share, such as a worker's own, come first."""
        self._names = sorted(names, key=lambda name: -SHARES.get(name, 100))

    def consume(self, number: int) -> list[str]:
        """Which `number` queues to look into, the first one first."""
        due = self._rounds[self._served % len(self._rounds)]
        return sorted(self._names, key=lambda name: name in SHARES and name != due)[:number]

    def rotate(self, last_used: str) -> str:
        """A message came from there."""
        if last_used in SHARES:
            self._served += 1
        elif last_used in self._names:
            self._names.remove(last_used)
            self._names.insert(sum(name not in SHARES for name in self._names), last_used)
        return last_used
