"""`process`: transforms data: an expression over all of it, or one for each item of a list."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from models.rules.effects import Done
from models.rules.expressions import Budget, Expression, ExpressionFailed
from models.rules.fields import kind_of
from models.rules.kinds import Config, Field, NodeCall, NodeKind
from models.rules.templates import value_text

Json = Any
MAX_ITEMS = 100_000
OPERATIONS = ("transform", "filter", "map", "reduce", "sort", "format")
LIST_OPERATIONS = ("filter", "map", "reduce", "sort")


def operation_of(config: Config) -> str:
    """The operation that a config names; transform unless it names another."""
    return str(config.get("operation") or "transform").lower()


def begin(call: NodeCall) -> Done:
    """The transformed data; raises `ExpressionFailed` with the item that could not be."""
    operation = operation_of(call.config)
    expression = call.config.get("expression")
    if operation in ("transform", "format"):
        if expression is None:
            return Done(call.incoming)
        return Done(value_text(expression) if operation == "format" else expression.evaluate(call.scope))
    items = _items(call, operation)
    return Done(_RUN[operation](call, items, expression))


def _items(call: NodeCall, operation: str) -> list[Json]:
    items = call.config.get("items", call.incoming)
    if not isinstance(items, list | tuple):
        raise ExpressionFailed(f"`{operation}` works on a list, not on {kind_of(items)}; set `items`.")
    if len(items) > MAX_ITEMS:
        raise ExpressionFailed(f"`{operation}` takes at most {MAX_ITEMS:,} items, not {len(items):,}.")
    return list(items)


def _each(call: NodeCall, items: list[Json], expression: Expression) -> Iterator[tuple[Json, Json]]:
    """Every item with the value of the expression for it."""
    scope, budget = dict(call.scope), Budget()
    for index, item in enumerate(items):
        scope["item"], scope["index"] = item, index
        try:
            yield item, expression.evaluate(scope, budget)
        except ExpressionFailed as failure:
            raise _at_item(failure, index, expression) from None


def _at_item(failure: ExpressionFailed, index: int, expression: Expression) -> ExpressionFailed:
    reason = failure.errors[0].message if failure.errors else failure.detail
    return ExpressionFailed(f"{reason} (item {index})").located(expression.place)


def _filter(call: NodeCall, items: list[Json], expression: Expression | None) -> list[Json]:
    kept = []
    for index, (item, answer) in enumerate(_each(call, items, _needed(expression, "filter"))):
        if not isinstance(answer, bool):
            raise ExpressionFailed(f"filter needs true or false for each item, not {kind_of(answer)} (item {index}).")
        if answer:
            kept.append(item)
    return kept


def _map(call: NodeCall, items: list[Json], expression: Expression | None) -> list[Json]:
    return [value for _, value in _each(call, items, _needed(expression, "map"))]


def _reduce(call: NodeCall, items: list[Json], expression: Expression | None) -> Json:
    step, scope, budget = _needed(expression, "reduce"), dict(call.scope), Budget()
    scope["accumulator"] = call.config.get("initial")
    for index, item in enumerate(items):
        scope["item"], scope["index"] = item, index
        try:
            scope["accumulator"] = step.evaluate(scope, budget)
        except ExpressionFailed as failure:
            raise _at_item(failure, index, step) from None
    return scope["accumulator"]


def _sort(call: NodeCall, items: list[Json], expression: Expression | None) -> list[Json]:
    keys = items if expression is None else [key for _, key in _each(call, items, expression)]
    kinds = sorted({kind_of(key) for key in keys})
    if len(kinds) > 1:
        raise ExpressionFailed(f"sort cannot compare {kinds[0]} and {kinds[1]}; sort by an expression of one kind.")
    if kinds and kinds[0] not in ("text", "a number", "true or false"):
        raise ExpressionFailed(f"sort cannot compare {kinds[0]}; sort by a field, such as item.name.")
    # Python keeps equal keys in their order, even when it sorts downwards.
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=call.config.get("order") == "desc")
    return [items[index] for index in order]


def _needed(expression: Expression | None, operation: str) -> Expression:
    if expression is None:
        raise ExpressionFailed(f"`{operation}` needs an expression.")
    return expression


_RUN: Mapping[str, Callable[[NodeCall, list[Json], Expression | None], Json]] = {
    "filter": _filter,
    "map": _map,
    "reduce": _reduce,
    "sort": _sort,
}


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    operation, empty = operation_of(config), (None, "")
    if operation in ("filter", "map", "reduce") and config.get("expression") in empty:
        return (("error", "expression", f"`{operation}` needs an expression, computed for each item."),)
    if operation in ("transform", "format") and config.get("expression") in empty:
        return (("warning", "expression", "Without an expression the data passes unchanged."),)
    return ()


_FIELDS = (
    Field("operation", "choice", choices=OPERATIONS),
    Field("expression", "expression"),
    Field("items", "list"),
    Field("initial", "value"),
    Field("order", "choice", choices=("asc", "desc")),
)


def _fields(config: Config) -> tuple[Field, ...]:
    """For `format`, the expression is a text with `{{ }}` in it."""
    if operation_of(config) != "format":
        return _FIELDS
    return tuple(replace(field, kind="text") if field.name == "expression" else field for field in _FIELDS)


KIND = NodeKind(type="process", fields=_FIELDS, fields_by=_fields, begin=begin, findings=_findings)
