"""Functions on numbers. Rounding answers a whole number when 64 bits hold it."""

import math
from collections.abc import Callable
from typing import Any

from models.rules.cel.meter import ExpressionFailed, Meter
from models.rules.cel.operators import LARGEST, finite, scalar
from models.rules.cel.signatures import Signature

Json = Any


def _whole(number: float) -> float:
    """A broken number without a fraction as a whole one, which prints as people write it."""
    return int(number) if abs(number) <= LARGEST else float(number)


def _round(meter: Meter, number: float, digits: int = 0) -> Json:
    if digits:
        return finite(round(scalar(number), max(-15, min(15, int(digits)))))
    away = math.floor(abs(number) + 0.5) if isinstance(number, float) else abs(number)
    return _whole(math.copysign(away, number)) if isinstance(number, float) else number


def _by(function: Callable[[float], float]) -> Callable[[Meter, float], Json]:
    return lambda meter, number: _whole(function(number))


def _sqrt(meter: Meter, number: float) -> float:
    if number < 0:
        raise ExpressionFailed("math.sqrt() needs a number that is not negative.")
    return math.sqrt(scalar(number))


SIGNATURES = (
    Signature("math.abs", ("number",), lambda meter, number: abs(scalar(number))),
    Signature("math.sign", ("number",), lambda meter, number: (number > 0) - (number < 0)),
    Signature("math.ceil", ("number",), _by(math.ceil)),
    Signature("math.floor", ("number",), _by(math.floor)),
    Signature("math.trunc", ("number",), _by(math.trunc)),
    Signature("math.round", ("number", "whole"), _round, required=1),
    Signature("math.sqrt", ("number",), _sqrt),
)
