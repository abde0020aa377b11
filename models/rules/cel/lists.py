"""Functions on lists. None changes its argument."""

import json
from collections.abc import Callable
from typing import Any

from models.rules.cel.meter import ExpressionFailed, Meter
from models.rules.cel.operators import arithmetic, is_number, kind_of
from models.rules.cel.signatures import Signature

Json = Any


def sorted_values(items: list[Json], keys: list[Json], *, descending: bool = False) -> list[Json]:
    """`items` in the order of their `keys`, equal ones as they came; raises `ExpressionFailed` when they do not compare."""
    kinds = {kind_of(key) for key in keys}
    if len(kinds) > 1:
        raise ExpressionFailed(f"Only values of one kind can be sorted, and there are {_listed(kinds)}.")
    if kinds - {"a number", "a text", "true or false", "a timestamp", "a duration"}:
        raise ExpressionFailed(f"{kinds.pop().capitalize()} cannot be sorted; sort by a field of it.")
    # Python keeps equal keys in their order, even when it sorts downwards.
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=descending)
    return [items[index] for index in order]


def _listed(kinds: set[str]) -> str:
    return " and ".join(sorted(kinds))


def _sort(meter: Meter, items: list[Json]) -> list[Json]:
    meter.charge(1 + len(items) * 2)
    return sorted_values(items, items)


def _distinct(meter: Meter, items: list[Json]) -> list[Json]:
    meter.read(items)
    meter.charge(len(items))
    seen: dict[Any, Json] = {}
    for item in items:
        seen.setdefault(_identity(item), item)
    return list(seen.values())


def _identity(value: Json) -> Any:
    if isinstance(value, list | tuple | dict):
        return "json", json.dumps(value, sort_keys=True, default=str)
    return kind_of(value), value


def _flatten(meter: Meter, items: list[Json]) -> list[Json]:
    meter.charge(sum(len(item) if isinstance(item, list | tuple) else 1 for item in items) // 8 + len(items) // 8)
    return [one for item in items for one in (item if isinstance(item, list | tuple) else (item,))]


def _slice(meter: Meter, items: list[Json], start: int, end: int) -> list[Json]:
    if not 0 <= start <= end <= len(items):
        raise ExpressionFailed(f"slice({int(start)}, {int(end)}) is outside a list of {len(items)} items.")
    meter.charge((int(end) - int(start)) // 20)
    return list(items[int(start) : int(end)])


def _reverse(meter: Meter, value: Json) -> Json:
    if isinstance(value, str):
        meter.make_text(len(value))
        return value[::-1]
    meter.charge(len(value) // 20)
    return list(value)[::-1]


def _range(meter: Meter, count: int) -> list[int]:
    meter.charge(max(0, int(count)) // 8)
    return list(range(int(count)))


def _sum(meter: Meter, items: list[Json]) -> Json:
    meter.charge(len(items))
    total: Json = 0
    for item in items:
        if not is_number(item):
            raise ExpressionFailed(f"sum() needs numbers, and the list holds {kind_of(item)}.")
        total = arithmetic("+", total, item, meter)
    return total


def _extreme(name: str, pick: Callable[..., Json]) -> Callable[..., Json]:
    def run(meter: Meter, *arguments: Json) -> Json:
        items = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list | tuple) else arguments
        meter.charge(len(items) // 2)
        if not items:
            raise ExpressionFailed(f"{name}() needs at least one value, and the list is empty.")
        _check_comparable(items, name)
        return pick(items)

    return run


def _check_comparable(items: Any, name: str) -> None:
    kinds = {kind_of(item) for item in items}
    if len(kinds) > 1 or not kinds <= {"a number", "a text", "a timestamp", "a duration"}:
        raise ExpressionFailed(f"{name}() needs values of one kind that can be compared, not {_listed(kinds)}.")


SIGNATURES = (
    Signature("sort", ("list",), _sort),
    Signature("distinct", ("list",), _distinct),
    Signature("flatten", ("list",), _flatten),
    Signature("slice", ("list", "whole", "whole"), _slice),
    Signature("first", ("list",), lambda meter, items: items[0] if items else None),
    Signature("last", ("list",), lambda meter, items: items[-1] if items else None),
    Signature("reverse", ("sized",), _reverse),
    Signature("lists.range", ("whole",), _range),
    Signature("sum", ("list",), _sum),
    Signature("min", ("any",), _extreme("min", min), many=True),
    Signature("max", ("any",), _extreme("max", max), many=True),
    Signature("math.least", ("any",), _extreme("math.least", min), many=True),
    Signature("math.greatest", ("any",), _extreme("math.greatest", max), many=True),
)
