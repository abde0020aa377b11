"""Turns the tree of an expression into a function of its variables."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from models.rules.cel.functions import FUNCTIONS
from models.rules.cel.meter import ExpressionFailed, Meter, TooManySteps
from models.rules.cel.operators import (
    TYPES,
    arithmetic,
    compare,
    contains,
    equal,
    key_text,
    kind_of,
    negate,
    truth,
)
from models.rules.cel.signatures import call
from models.rules.cel.syntax import (
    Call,
    Chain,
    Choose,
    Has,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Name,
    Path,
    Tree,
    Unary,
)

Json = Any
_MISSING = object()


class Env:
    """The variables of one evaluation, and its budget."""

    __slots__ = ("meter", "names")

    def __init__(self, names: dict[str, Json], meter: Meter) -> None:
        self.names, self.meter = names, meter


Code = Callable[[Env], Json]


def translate(source: str, tree: Tree) -> Code:
    """Make `tree` runnable; `source` is for what errors quote."""
    return _Translator(source).code(tree)


def weight(tree: Tree) -> int:
    """How many steps one evaluation of `tree` takes, not counting what its macros repeat."""
    count, pending = 0, [tree]
    while pending:
        part = pending.pop()
        count += 1
        pending.extend((part.source,) if isinstance(part, Macro) else part.parts)
    return count


class _Translator:
    def __init__(self, source: str) -> None:
        self.source = source

    def code(self, tree: Tree) -> Code:
        """The function that computes `tree`."""
        maker: Callable[[Any], Code] = _MAKERS[type(tree)].__get__(self)
        return maker(tree)

    def literal(self, tree: Literal) -> Code:
        value = tree.value
        return lambda env: value

    def name(self, tree: Name) -> Code:
        name, default = tree.name, TYPES.get(tree.name, _MISSING)

        def read(env: Env) -> Json:
            value = env.names.get(name, default)
            if value is _MISSING:
                raise ExpressionFailed(f"There is no `{name}` here.")
            return value

        return read

    def path(self, tree: Path) -> Code:
        operand = self.code(tree.operand)
        steps = [self.step(tree, step.at, step.key) for step in tree.steps]

        def walk(env: Env) -> Json:
            value = operand(env)
            for step in steps:
                value = step(env, value)
            return value

        return walk

    def step(self, tree: Path, at: int, key: Tree | str) -> Callable[[Env, Json], Json]:
        what = self.source[tree.start : at].strip()[-80:]
        if isinstance(key, str):
            return lambda env, value: _field(value, key, what)
        code = self.code(key)
        return lambda env, value: _item(value, code(env), what)

    def has(self, tree: Has) -> Code:
        path = tree.path
        outer = self.code(Path(path.start, path.operand, path.steps[:-1]) if path.steps[1:] else path.operand)
        last = path.steps[-1].key
        key = self.code(last) if isinstance(last, Tree) else lambda env: last

        def ask(env: Env) -> bool:
            try:
                value = outer(env)
            except TooManySteps:
                raise
            except ExpressionFailed:
                return False  # what has no parent is not there
            return isinstance(value, Mapping) and key_text(key(env)) in value

        return ask

    def list_of(self, tree: ListOf) -> Code:
        items = [self.code(item) for item in tree.items]
        return lambda env: [item(env) for item in items]

    def map_of(self, tree: MapOf) -> Code:
        entries = [(self.code(key), self.code(value)) for key, value in tree.entries]
        return lambda env: {_key(key(env)): value(env) for key, value in entries}

    def unary(self, tree: Unary) -> Code:
        operand = self.code(tree.operand)
        if tree.operator == "-":
            return lambda env: negate(operand(env))
        return lambda env: not truth(operand(env), "What stands after `!`")

    def choose(self, tree: Choose) -> Code:
        cases = [(self.code(condition), self.code(value)) for condition, value in tree.cases]
        otherwise = self.code(tree.otherwise)

        def decide(env: Env) -> Json:
            for condition, value in cases:
                if truth(condition(env), "What stands before `?`"):
                    return value(env)
            return otherwise(env)

        return decide

    def chain(self, tree: Chain) -> Code:
        first = self.code(tree.first)
        if tree.rest[0][0] in ("&&", "||"):
            return _logic(tree.rest[0][0], [first, *(self.code(operand) for _, _, operand in tree.rest)])
        rest = [(operator, self.code(operand)) for operator, _, operand in tree.rest]

        def fold(env: Env) -> Json:
            value = first(env)
            for operator, operand in rest:
                value = _operate(operator, value, operand(env), env.meter)
            return value

        return fold

    def call(self, tree: Call) -> Code:
        function = FUNCTIONS[tree.function]
        arguments = [self.code(argument) for argument in tree.arguments]
        return lambda env: call(function, env.meter, [argument(env) for argument in arguments])

    def macro(self, tree: Macro) -> Code:
        source, body = self.code(tree.source), self.code(tree.body)
        condition = self.code(tree.condition) if tree.condition else None
        cost = 1 + weight(tree.body) + (weight(tree.condition) if tree.condition else 0)
        run, variable, kind = _MACROS[tree.kind], tree.variable, tree.kind
        what = self.source[tree.source.start :].split(f".{kind}")[0].strip()[-80:]

        def repeat(env: Env) -> Json:
            items = source(env)
            if not isinstance(items, list | tuple | Mapping):
                raise ExpressionFailed(f"`{kind}` needs a list, and {what} is {kind_of(items)}.")
            env.meter.charge(len(items) * cost)
            outside = env.names.get(variable, _MISSING)
            try:
                return run(env, items, variable, body, condition)
            finally:
                env.names.pop(variable, None)
                if outside is not _MISSING:
                    env.names[variable] = outside

        return repeat


_MAKERS: dict[type[Tree], Any] = {
    Literal: _Translator.literal,
    Name: _Translator.name,
    Path: _Translator.path,
    Has: _Translator.has,
    ListOf: _Translator.list_of,
    MapOf: _Translator.map_of,
    Unary: _Translator.unary,
    Choose: _Translator.choose,
    Chain: _Translator.chain,
    Call: _Translator.call,
    Macro: _Translator.macro,
}


def _operate(operator: str, left: Json, right: Json, meter: Meter) -> Json:
    if operator in ("+", "-", "*", "/", "%"):
        return arithmetic(operator, left, right, meter)
    if operator == "==":
        return equal(left, right, meter)
    if operator == "!=":
        return not equal(left, right, meter)
    if operator == "in":
        return contains(right, left, meter)
    return compare(operator, left, right)


def _logic(operator: str, operands: list[Code]) -> Code:
    """`&&` and `||`: a side that decides outweighs one that failed, on whichever side it stands."""
    deciding = operator == "||"
    where = f"Each side of `{operator}`"

    def decide(env: Env) -> bool:
        return _any(deciding, where, (lambda op=operand: op(env) for operand in operands))

    return decide


def _any(deciding: bool, where: str, questions: Iterable[Callable[[], Json]]) -> bool:
    failure: ExpressionFailed | None = None
    for question in questions:
        try:
            if truth(question(), where) is deciding:
                return deciding
        except TooManySteps:
            raise
        except ExpressionFailed as error:
            failure = failure or error
    if failure:
        raise failure
    return not deciding


def _field(value: Json, name: str, what: str) -> Json:
    if isinstance(value, Mapping):
        found = value.get(name, _MISSING)
        if found is _MISSING:
            raise ExpressionFailed(f"There is no `{name}` in {what}.")
        return found
    if value is None:
        raise ExpressionFailed(f"{what} is null, so it has no `{name}`.")
    if isinstance(value, list | tuple):
        raise ExpressionFailed(f"{what} is a list, so it has no `{name}`; take one item with [0], or use map.")
    raise ExpressionFailed(f"{what} is {kind_of(value)}, so it has no `{name}`.")


def _item(value: Json, key: Json, what: str) -> Json:
    if isinstance(value, Mapping):
        return _field(value, _key(key), what)
    if not isinstance(value, list | tuple):
        raise ExpressionFailed(f"{what} is {kind_of(value)}, so it has no items.")
    if isinstance(key, bool) or not isinstance(key, int | float) or int(key) != key:
        raise ExpressionFailed(f"An item of {what} is chosen by a whole number, not by {kind_of(key)}.")
    if not 0 <= key < len(value):
        raise ExpressionFailed(f"{what} has {len(value)} items, so there is no item {int(key)}; the first is 0.")
    return value[int(key)]


def _key(key: Json) -> str:
    if isinstance(key, str | int) or (isinstance(key, float) and key.is_integer()):
        return key_text(key)
    raise ExpressionFailed(f"A key must be a text or a whole number, not {kind_of(key)}.")


def _each(env: Env, items: Iterable[Json], variable: str) -> Iterable[Json]:
    for item in items:
        env.names[variable] = item
        yield item


def _map(env: Env, items: Iterable[Json], variable: str, body: Code, condition: Code | None) -> list[Json]:
    if condition is None:
        return [body(env) for _ in _each(env, items, variable)]
    return [body(env) for _ in _each(env, items, variable) if truth(condition(env), "The condition of `map`")]


def _filter(env: Env, items: Iterable[Json], variable: str, body: Code, _: Code | None) -> list[Json]:
    return [item for item in _each(env, items, variable) if truth(body(env), "The condition of `filter`")]


def _exists(env: Env, items: Iterable[Json], variable: str, body: Code, _: Code | None) -> bool:
    return _any(True, "The condition of `exists`", (lambda: body(env) for _ in _each(env, items, variable)))


def _all(env: Env, items: Iterable[Json], variable: str, body: Code, _: Code | None) -> bool:
    return _any(False, "The condition of `all`", (lambda: body(env) for _ in _each(env, items, variable)))


def _exists_one(env: Env, items: Iterable[Json], variable: str, body: Code, _: Code | None) -> bool:
    return len(_filter(env, items, variable, body, None)) == 1


_MACROS = {"map": _map, "filter": _filter, "exists": _exists, "all": _all, "exists_one": _exists_one}
