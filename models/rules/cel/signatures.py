"""What a function of the expression language takes, and how it is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from models.rules.cel.meter import ExpressionFailed, Meter
from models.rules.cel.operators import CelType, is_number, kind_of

Json = Any
_KINDS: Mapping[str, tuple[Callable[[Json], bool], str]] = {
    "any": (lambda value: True, "anything"),
    "text": (lambda value: isinstance(value, str) and not isinstance(value, CelType), "a text"),
    "number": (is_number, "a number"),
    "whole": (lambda value: is_number(value) and int(value) == value, "a whole number"),
    "list": (lambda value: isinstance(value, list | tuple), "a list"),
    "sized": (lambda value: isinstance(value, str | list | tuple), "a text or a list"),
    "time": (lambda value: isinstance(value, datetime | timedelta), "a timestamp or a duration"),
}


@dataclass(frozen=True)
class Signature:
    """A function: `takes` names the kind of each argument, those from `required` on may be left out.

    `run` gets the meter and the arguments; with `many`, any number of arguments of the last kind.
    """

    name: str
    takes: tuple[str, ...]
    run: Callable[..., Json]
    required: int = -1  # all
    many: bool = False

    @property
    def least(self) -> int:
        """How many arguments there must be."""
        return len(self.takes) if self.required < 0 else self.required

    def accepts(self, count: int) -> bool:
        """Whether `count` arguments are right."""
        return self.least <= count and (self.many or count <= len(self.takes))


def call(signature: Signature, meter: Meter, arguments: list[Json]) -> Json:
    """Check the arguments' kinds and call; raises `ExpressionFailed`."""
    for index, value in enumerate(arguments):
        accepts, wanted = _KINDS[signature.takes[min(index, len(signature.takes) - 1)]]
        if not accepts(value):
            raise ExpressionFailed(f"{signature.name}() needs {wanted}, and got {kind_of(value)}.")
    return signature.run(meter, *arguments)
