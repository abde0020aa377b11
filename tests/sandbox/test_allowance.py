"""What an expression may use grows as fast as its cost, so more data is no reason to refuse it."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import javascript
from sandbox.javascript import Evaluation, evaluate

FUEL = 50_000_000
ROWS: dict[str, Callable[[int], Any]] = {
    "rows with tags": lambda i: {"id": i, "tags": ["a", "b"], "n": i % 7},
    "digits": lambda i: i % 10,
    "pairs": lambda i: [i, 1],
    "nested objects": lambda i: {"a": {"b": {"c": [1, 2, 3]}}},
    "empty objects": lambda i: {},
    "rows of text": lambda i: {"name": f"customer number {i}", "city": "Oslo", "total": i * 1.5},
}
OPERATIONS = [
    "[...data]",
    "data.map(x => ({...x, y: 1}))",
    "data.map((x, i) => [i, x])",
    "data.filter(x => x !== 3)",
    "[...data].sort((a, b) => a.id - b.id)",
    "Object.fromEntries(data.map((x, i) => [i, x]))",
    "({...data})",
    "groupBy(data, x => x.n)",
]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("source", OPERATIONS)
def test_it_grows_as_fast_as_the_cost_of(source: str, kind: str) -> None:
    costs, allowances = [], []
    for number in (1_000, 3_000):
        asked = Evaluation(source, {"data": [ROWS[kind](i) for i in range(number)]}, FUEL)
        costs.append(evaluate(asked).fuel)
        allowances.append(asked.allowance(javascript._written(asked)))
    assert costs[1] - costs[0] <= allowances[1] - allowances[0]
