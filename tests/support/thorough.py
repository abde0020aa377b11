"""How much of a large space the tests cover: a part of it in `make test`, all of it in `make test-faults`."""

import os
from collections.abc import Sequence
from typing import TypeVar

THOROUGH = os.environ.get("THOROUGH") == "1"

T = TypeVar("T")


def sample(items: Sequence[T], most: int) -> Sequence[T]:
    """All items in the long run, otherwise `most` of them: always the same ones, evenly spread, including the first."""
    if THOROUGH or len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]


def examples(most: int) -> int:
    """The number of examples: `most` in the long run, otherwise a quarter of it."""
    return most if THOROUGH else max(most // 4, 1)
