"""`process`: transforms data by an expression or code over all of it, or by an expression for each item of a list."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from models.errors import ExpressionFailed
from models.rules.expressions.evaluate import Expression
from models.rules.graph.effects import Done
from models.rules.graph.fields import kind_of
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind
from models.rules.values.json_values import value_text
from models.serialization import Json

MAX_ITEMS = 100_000
OPERATIONS = ("transform", "filter", "map", "reduce", "sort", "format", "code")
LIST_OPERATIONS = ("filter", "map", "reduce", "sort")


def operation_of(config: Config) -> str:
    """The operation of a config; `transform` by default."""
    return str(config.get("operation") or "transform").lower()


def begin(call: NodeCall) -> Done:
    """The transformed data; raises `ExpressionFailed` that names the item if one fails."""
    operation = operation_of(call.config)
    expression = call.config.get("code" if operation == "code" else "expression")
    if operation in LIST_OPERATIONS:
        return Done(_RUN[operation](call, _items(call, operation), expression))
    if expression is None:
        return Done(call.incoming)
    return Done(value_text(expression) if operation == "format" else expression.evaluate(call.scope))


def _items(call: NodeCall, operation: str) -> list[Json]:
    items = call.config.get("items", call.incoming)
    if not isinstance(items, list | tuple):
        raise ExpressionFailed(f"`{operation}` works on a list, not on {kind_of(items)}; set `items`.")
    if len(items) > MAX_ITEMS:
        raise ExpressionFailed(f"`{operation}` takes at most {MAX_ITEMS:,} items, not {len(items):,}.")
    return list(items)


def _filter(call: NodeCall, items: list[Json], expression: Expression | None) -> list[Json]:
    kept = []
    results = _needed(expression, "filter").evaluate_each(call.scope, items)
    for index, (item, result) in enumerate(zip(items, results, strict=True)):
        if not isinstance(result, bool):
            raise ExpressionFailed(f"filter needs true or false for each item, not {kind_of(result)} (item {index}).")
        if result:
            kept.append(item)
    return kept


def _map(call: NodeCall, items: list[Json], expression: Expression | None) -> list[Json]:
    return _needed(expression, "map").evaluate_each(call.scope, items)


def _reduce(call: NodeCall, items: list[Json], expression: Expression | None) -> Json:
    return _needed(expression, "reduce").reduce(call.scope, items, call.config.get("initial"))


def _sort(call: NodeCall, items: list[Json], expression: Expression | None) -> list[Json]:
    keys = items if expression is None else expression.evaluate_each(call.scope, items)
    kinds = sorted({kind_of(key) for key in keys})
    if len(kinds) > 1:
        raise ExpressionFailed(f"sort cannot compare {kinds[0]} and {kinds[1]}; sort by an expression of one kind.")
    if kinds and kinds[0] not in ("text", "a number", "true or false"):
        raise ExpressionFailed(f"sort cannot compare {kinds[0]}; sort by a field, such as item.name.")
    # Python's sort is stable, also in reverse.
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
    if operation == "code" and config.get("code") in empty:
        return (("error", "code", "`code` needs the body of a function that returns something."),)
    if operation in ("transform", "format") and config.get("expression") in empty:
        return (("warning", "expression", "Without an expression the data passes unchanged."),)
    return ()


_FIELDS = (
    Field(
        "operation",
        "choice",
        choices=OPERATIONS,
        title="Operation",
        help="One value from all of the data, one for each item of a list, a text, or what your code returns.",
        default="transform",
    ),
    Field(
        "expression",
        "expression",
        alternative="use operation code",
        title="Expression",
        help="Over `data`, or for each `item` with its `index`; reduce has `accumulator` too.",
        examples=("{total: data.items.length}", "item.price > 10"),
        when={"operation": tuple(one for one in OPERATIONS if one != "code")},
    ),
    Field(
        "items",
        "list",
        title="Items",
        help="The list. Without one, the data that comes in.",
        examples=("{{ data.rows }}",),
        when={"operation": LIST_OPERATIONS},
    ),
    Field("initial", "value", title="Initial", help="The first `accumulator`.", when={"operation": ("reduce",)}),
    Field(
        "order",
        "choice",
        choices=("asc", "desc"),
        title="Order",
        default="asc",
        when={"operation": ("sort",)},
    ),
)
_CODE = Field(
    "code",
    "code",
    title="Code",
    help="The body of a JavaScript function over `data`, which returns the result.",
    examples=("return data.rows.filter(row => row.ok).length;",),
    when={"operation": ("code",)},
)


def _fields(config: Config) -> tuple[Field, ...]:
    """The fields of a config: only `code` for code; the expression of `format` is a text with `{{ }}` in it."""
    if operation_of(config) == "code":
        return (_FIELDS[0], _CODE)
    if operation_of(config) != "format":
        return _FIELDS
    return tuple(replace(field, kind="text") if field.name == "expression" else field for field in _FIELDS)


KIND = NodeKind(
    type="process",
    title="Process",
    help="Transforms data by an expression or by code.",
    result="The transformed data.",
    fields=_FIELDS,
    fields_by=_fields,
    varies_by="operation",
    begin=begin,
    findings=_findings,
)
