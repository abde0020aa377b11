"""Evaluates JavaScript over Python values, and analyses it without running it.

Values are passed as JSON. Whole numbers past 2^53, which JavaScript would round, become texts with the same digits;
results as large as that are returned as JavaScript rounded them. Keys are passed in alphabetical order, so that an
evaluation has the same result before and after a database has reordered the keys.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from sandbox import pool
from sandbox.instance import SandboxRequest, Stopped, StopReason

Json = Any
Mode = Literal["value", "body", "each", "reduce"]

EXACT = 2**53 - 1  # the largest whole number that JavaScript keeps exactly
MAX_INPUT = 4 * 1024 * 1024  # bytes of JSON
MAX_RESULT = 2 * 1024 * 1024  # bytes of JSON
FUEL_PER_BYTE = 1_000  # of input: parsing the JSON of texts and writing it again uses this much
FUEL_PER_VALUE = 30_000  # of input: copying, comparing and wrapping each value of it, and writing the result
FUEL_PER_ITEM = 20_000
ANALYSIS_FUEL = 200_000_000
ANALYSIS_FUEL_PER_CHARACTER = 200_000
TRIES = 3  # of an evaluation for which the machine was too slow
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


@dataclass(frozen=True)
class Evaluation:
    """An expression or a function body to evaluate, once or for each of `items`.

    `clock_ms` is the time of its clock in milliseconds since 1970, and `seed` that of its random numbers. It may use
    `fuel`, and more for its input, up to `most` in total.
    """

    source: str
    names: Mapping[str, Json]
    fuel: int
    mode: Mode = "value"
    most: int | None = None
    clock_ms: int = 0
    seed: int = 0
    items: Sequence[Json] = ()
    accumulator: Json = None

    def allowance(self, written: bytes) -> int:
        """The fuel for this input. It grows as fast as the cost of usual operations, so what works goes on working."""
        values = sum(map(written.count, (b",", b"[", b"{")))
        allowed = self.fuel + FUEL_PER_BYTE * len(written) + FUEL_PER_VALUE * values + FUEL_PER_ITEM * len(self.items)
        return allowed if self.most is None else min(allowed, self.most)


@dataclass(frozen=True)
class Answer:
    """The value of an evaluation, unless it is `undefined`, and the fuel that it used."""

    value: Json
    fuel: int
    is_defined: bool = True


class EvaluationFailed(Exception):
    """JavaScript threw an error, at item `index`; `is_missing` if it read a property of null or undefined."""

    def __init__(self, told: Mapping[str, Any], fuel: int) -> None:
        super().__init__(told["message"])
        self.message, self.index, self.is_missing = str(told["message"]), told.get("index"), bool(told.get("missing"))
        self.position: tuple[int, int] | None = (told["line"], told["column"]) if told.get("line") else None
        self.fuel = fuel


class TooExpensive(Exception):
    """An evaluation was stopped or not begun; `limit` is the exceeded one, in fuel or bytes of input (`size`)."""

    def __init__(self, reason: StopReason | Literal["input"], fuel: int, limit: int, size: int) -> None:
        super().__init__(reason)
        self.reason, self.fuel, self.limit, self.size = reason, fuel, limit, size


def evaluate(asked: Evaluation) -> Answer:
    """Evaluate an expression or a function body; raises `EvaluationFailed` or `TooExpensive`."""
    written = _written(asked)
    size, allowance = len(written), asked.allowance(written)
    if size > MAX_INPUT:
        raise TooExpensive("input", 0, MAX_INPUT, size)
    request = SandboxRequest(
        written + b"\0" + asked.source.encode("utf-8", "replace"), allowance, asked.clock_ms * 1_000_000, MAX_RESULT
    )
    for tries_left in reversed(range(TRIES)):
        try:
            reply = pool.run("evaluate", request)
            break
        except Stopped as stopped:
            if stopped.reason is not StopReason.TIME or not tries_left:
                raise TooExpensive(stopped.reason, stopped.fuel, allowance, size) from None
    kind, payload = reply.payload[:1], reply.payload[1:]
    if kind == b"e":
        raise EvaluationFailed(json.loads(payload), reply.fuel)
    return Answer(_read(payload), reply.fuel) if kind == b"v" else Answer(None, reply.fuel, is_defined=False)


@dataclass(frozen=True)
class Analysis:
    """The analysis of an expression or a function body, or its syntax error (`error`, at `line` and `column`).

    `chains` are the paths of variables that it reads, `kind` the inferred type of its value, in words for people.
    """

    source: str = ""  # in the form that is evaluated
    body: bool = False
    kind: str | None = None
    chains: Sequence[Sequence[str | int]] = ()
    error: str = ""
    line: int = 1
    column: int = 1


def analyse(source: str, mode: Literal["expression", "body", "either"], ids: Sequence[str] = ()) -> Analysis:
    """Analyse a source; the ids in `ids` may follow `nodes.` even if they are not identifiers."""
    fuel = ANALYSIS_FUEL + ANALYSIS_FUEL_PER_CHARACTER * len(source)
    asked = json.dumps([[source, mode, sorted(ids, key=len, reverse=True)]])
    try:
        reply = pool.run("analyse", SandboxRequest(asked.encode(), fuel))
    except Stopped:
        return Analysis(error="It is nested too deeply.")
    return Analysis(**json.loads(reply.payload[1:])[0])


def _written(asked: Evaluation) -> bytes:
    document: dict[str, Json] = {"mode": asked.mode, "seed": asked.seed, "names": asked.names}
    if asked.mode in ("each", "reduce"):
        document |= {"items": asked.items, "first": 0, "accumulator": asked.accumulator}
    try:
        try:
            return orjson.dumps(document, _as_object, orjson.OPT_STRICT_INTEGER | orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            return orjson.dumps(_exact(document), _as_object, orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise TooExpensive(StopReason.DEPTH, 0, 0, 0) from error


def _as_object(value: Json) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _exact(value: Json) -> Json:
    """Replace whole numbers that JavaScript would round by texts."""
    if isinstance(value, Mapping):
        return {name: _exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, int) and abs(value) > EXACT:
        return str(value)
    return value


def _read(payload: bytes) -> Json:
    if _LONG_NUMBER.search(payload) or _ESCAPE.search(payload):
        return json.loads(payload, parse_int=_number)
    return orjson.loads(payload)


def _number(digits: str) -> int | float:
    value = int(digits)
    return value if abs(value) <= EXACT else float(value)
