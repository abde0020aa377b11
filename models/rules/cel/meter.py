"""The budget of one evaluation, and how values are weighed. No evaluation outlives its budget, whatever its inputs."""

from collections.abc import Iterable, Mapping
from typing import Any

from models.errors import ForgeError, InvalidInput

Json = Any
MAX_STEPS = 40_000  # one step is about a microsecond
MAX_TEXT = 1_048_576  # characters of any text that an expression makes
MAX_RESULT_VALUES = 250_000
MAX_RESULT_CHARS = 4 * MAX_TEXT
MAX_DATA_DEPTH = 100


class ExpressionError(InvalidInput):
    """The expression is not one we run; `position` is its line and column, both counted from 1."""

    code = "invalid_expression"

    def __init__(self, sentence: str, position: tuple[int, int] = (1, 1)) -> None:
        line, column = position
        place = f"column {column}" if line == 1 else f"line {line}, column {column}"
        super().__init__(f"{sentence} ({place})")
        self.sentence = sentence
        self.position = position


class ExpressionFailed(ForgeError):
    """The expression met values that it cannot work with; the same values will fail again."""

    code = "expression_failed"


class TooManySteps(ExpressionFailed):
    """The expression would run for too long with these values."""

    code = "expression_too_costly"

    def __init__(self) -> None:
        super().__init__(
            "This expression would take too many steps with so much data; "
            "use a process node with operation map or filter, or a loop."
        )


class Meter:
    """What one evaluation may still spend."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def charge(self, steps: int) -> None:
        """Spend `steps`; raises `TooManySteps` before the work that they stand for begins."""
        self.left -= steps
        if self.left < 0:
            raise TooManySteps

    def make_text(self, length: int) -> None:
        """Spend what a new text of `length` characters costs; raises when it is too long to exist."""
        if length > MAX_TEXT:
            raise ExpressionFailed(f"The text would be longer than {MAX_TEXT:,} characters.")
        self.charge(1 + length // 200)

    def read(self, value: Json) -> None:
        """Spend what looking at all of `value` costs."""
        values, characters = weigh(value, self.left * 8)
        self.charge(values // 8 + characters // 1000)


def weigh(value: Json, most: int = MAX_RESULT_VALUES) -> tuple[int, int]:
    """Count values and characters in `value`; raises `ExpressionFailed` beyond `most` values or 100 levels."""
    values, characters = 1, 0
    level: list[Json] = [value]
    for _ in range(MAX_DATA_DEPTH):
        below: list[Json] = []
        for item in level:
            if isinstance(item, str):
                characters += len(item)
            elif isinstance(item, list | tuple):
                values += len(item)
                below.extend(item if values <= most else ())
            elif isinstance(item, Mapping):
                values += len(item)
                if values <= most:
                    characters += _length(item)
                    below.extend(item.values())
            if values > most:
                raise TooManySteps
        if not below:
            return values, characters
        level = below
    raise ExpressionFailed(f"The data is nested more than {MAX_DATA_DEPTH} levels deep.")


def _length(keys: Iterable[Json]) -> int:
    return sum(len(key) for key in keys if isinstance(key, str))
