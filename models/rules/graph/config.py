"""The config of a node: checked when it is saved, compiled once, resolved for every attempt."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.evaluate import Expression
from models.rules.expressions.templates import compile_bare, compile_template, is_template
from models.rules.graph.compiler import ExpressionCompiler
from models.rules.graph.fields import checked, kind_of, listed_problems
from models.rules.graph.findings import MAX_NAME_LENGTH, Finding, Hints, error, warning
from models.rules.graph.graph import Node
from models.rules.graph.kinds import Config, Field, NodeKind
from models.rules.values.scope import Scope
from models.serialization import Json

Resolver = Callable[[Scope], Json]
SCRIPTS = ("condition", "expression", "code")
DEFAULT_ITERATIONS = 100
MAX_UNKNOWN = 20  # warnings about unknown settings of a node


@dataclass(frozen=True)
class LoopCondition:
    """The condition of a `while` loop, evaluated before each iteration."""

    expression: Expression
    max_iterations: int

    def holds(self, scope: Scope, index: int) -> bool:
        """Whether iteration `index` starts.

        Raises `ExpressionFailed` if the result is not a boolean, or still true after `max_iterations`.
        """
        result = self.expression.evaluate(scope)
        if not isinstance(result, bool):
            raise ExpressionFailed(f"It must be true or false, not {kind_of(result)}.").located(
                self.expression.location
            )
        if result and index >= self.max_iterations:
            sentence = f"It still holds after {self.max_iterations:,} iterations, which is maxIterations."
            raise ExpressionFailed(sentence).located(self.expression.location)
        return result


@dataclass(frozen=True)
class CompiledConfig:
    """A compiled config."""

    constants: Config
    dynamic: tuple[tuple[Field, Resolver, str], ...]  # field, its resolver, and its location for errors
    expressions: tuple[tuple[str, Expression], ...]  # all expressions, each with its path such as `config.headers.X`

    loop_condition: LoopCondition | None = None  # of a loop with `while`

    @property
    def nodes(self) -> frozenset[str] | None:
        """Ids of the nodes whose outputs are read; None if that is known at run time only."""
        read = [expression.nodes for _, expression in self.expressions]
        return None if None in read else frozenset().union(*(ids for ids in read if ids))

    @property
    def names(self) -> frozenset[str]:
        """Names of the variables that are read."""
        return frozenset().union(*(expression.names for _, expression in self.expressions))

    def resolve(self, scope: Scope) -> Config:
        """Return the config with each `{{ }}` evaluated; raises `ExpressionFailed` with node, field and reason."""
        if not self.dynamic:
            return self.constants
        config = dict(self.constants)
        for field, resolver, location in self.dynamic:
            try:
                value = checked(field, resolver(scope))
            except ExpressionFailed as failure:
                raise failure.located(location) from None
            if value is not None:
                config[field.name] = value
        return config


def compile_config(kind: NodeKind, node: Node, node_ids: frozenset[str]) -> CompiledConfig:
    """Compile the config of a node that passed the linter; raises `ExpressionError` and `ExpressionFailed`."""
    constants: dict[str, Json] = {}
    dynamic: list[tuple[Field, Resolver, str]] = []
    expressions: list[tuple[str, Expression]] = []
    for field in kind.fields_for(node.config):
        given = node.config.get(field.name)
        if given is None or given == "":
            continue
        location = f"config.{field.name} of node {node.id}"
        found: list[tuple[str, Expression]] = []
        if field.kind in SCRIPTS:
            constants[field.name] = _bare(field, given, location, f"config.{field.name}", node_ids, found)
        elif field.kind == "cases":
            constants[field.name] = _cases(field, given, node, node_ids, found)
        else:
            resolver = _resolver(given, f"config.{field.name}", node_ids, found, nulls=field.nulls)
            if found:
                dynamic.append((field, resolver, location))
            else:
                constants[field.name] = checked(field, given)
        expressions.extend(found)
    condition = constants.get("while") if kind.container else None
    maximum = constants.get("maxIterations", DEFAULT_ITERATIONS)
    return CompiledConfig(
        constants, tuple(dynamic), tuple(expressions), LoopCondition(condition, int(maximum)) if condition else None
    )


def check_config(
    kind: NodeKind, node: Node, compiler: ExpressionCompiler, hints: Hints, where: str
) -> Iterator[Finding]:
    """The findings about a node's config; `where` is its path in the document, such as `nodes.3.config`."""
    fields = {field.name: field for field in kind.fields_for(node.config)}
    unknown = (str(name)[:MAX_NAME_LENGTH] for name in node.config if name not in fields)
    for name in islice(unknown, MAX_UNKNOWN):
        near = hints.nearest(name, fields)
        hint = f"; did you mean `{near}`?" if near else "."
        message = f"A node of type {kind.type} has no setting `{name}`{hint}"
        yield warning("unknown_config", f"{where}.{name}", message, node_id=node.id)
    for field in fields.values():
        given = node.config.get(field.name)
        if given is None or given == "":
            if field.required:
                message = f"A node of type {kind.type} needs `{field.name}`."
                yield error("missing_config", f"{where}.{field.name}", message, node_id=node.id)
            continue
        yield from _check_field(field, given, node, compiler, f"{where}.{field.name}")
    for severity, name, sentence in kind.findings(node.config):
        make = error if severity == "error" else warning
        yield make("config", f"{where}.{name}" if name else where, sentence, node_id=node.id)


def expressions_of(kind: NodeKind, node: Node, compiler: ExpressionCompiler) -> Iterator[tuple[str, Expression]]:
    """Every expression of the config that compiles, with its path such as `config.headers.X`."""
    for field in kind.fields_for(node.config):
        given = node.config.get(field.name)
        for path, value in _strings(field, given):
            try:
                template = compiler.compile(value, field.mode)
            except ExpressionError:
                continue
            yield from ((f"config.{path}", expression) for expression in template.expressions)


def _check_field(field: Field, given: Json, node: Node, compiler: ExpressionCompiler, where: str) -> Iterator[Finding]:
    dynamic = False
    for path, value in _strings(field, given):
        try:
            expressions = compiler.compile(value, field.mode).expressions
        except ExpressionError as refused:
            location = where.removesuffix(field.name) + path
            yield error("invalid_expression", location, str(refused), node_id=node.id)
            return
        dynamic |= bool(expressions)
        kind = expressions[0].kind if expressions and field.kind in ("condition", "cases") else None
        if kind not in (None, "true or false"):
            sentence = f"A condition must be true or false, and this is {kind}; compare it with something."
            yield error("invalid_expression", where.removesuffix(field.name) + path, sentence, node_id=node.id)
    if field.kind == "cases":
        yield from (
            error("invalid_cases", f"{where}{path}", text, node_id=node.id) for path, text in listed_problems(given)
        )
    elif field.kind in SCRIPTS and not isinstance(given, str | bool):
        yield error("invalid_config", where, f"`{field.name}` must be an expression, written as text.", node_id=node.id)
    elif field.kind not in SCRIPTS and not (dynamic and isinstance(given, str)):
        try:
            checked(field, given)
        except ExpressionFailed as refused_value:
            yield error("invalid_config", where, str(refused_value), node_id=node.id)


def _strings(field: Field, given: Json) -> Iterator[tuple[str, str]]:
    """The strings of a field that hold expressions, each with its path within the config.

    Paths are built only where expressions may be, because a value may have hundreds of thousands of parts.
    """
    if field.kind == "choice":
        return
    bare = field.mode is not None
    pending = [(field.name, given)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str):
            if value and (bare or is_template(value)) and (field.kind != "cases" or path.endswith(".condition")):
                yield path, value
        elif isinstance(value, Mapping):
            pending.extend((f"{path}.{str(key)[:100]}", item) for key, item in value.items() if _holds(item, bare))
        elif isinstance(value, list):
            pending.extend((f"{path}.{index}", item) for index, item in enumerate(value) if _holds(item, bare))


def _holds(value: Json, bare: bool) -> bool:
    """Whether a value may contain an expression."""
    return bool(value) and (bare or is_template(value) if isinstance(value, str) else isinstance(value, Mapping | list))


def _bare(
    field: Field, given: Json, location: str, path: str, node_ids: frozenset[str], found: list[tuple[str, Expression]]
) -> Expression:
    text = given if isinstance(given, str) else str(given).lower()
    compiled = compile_bare(text, node_ids, field.mode or "expression")
    expression = replace(compiled, location=location, alternative=field.alternative)
    found.append((path, expression))
    return expression


def _cases(
    field: Field, given: Json, node: Node, node_ids: frozenset[str], found: list[tuple[str, Expression]]
) -> Json:
    return [
        (
            case["name"],
            _bare(
                field,
                case["condition"],
                f"config.cases.{index}.condition of node {node.id}",
                f"config.cases.{index}.condition",
                node_ids,
                found,
            ),
        )
        for index, case in enumerate(given)
    ]


def _resolver(
    given: Json, path: str, node_ids: frozenset[str], found: list[tuple[str, Expression]], *, nulls: bool
) -> Resolver:
    """Return the function that computes `given`, and append its expressions to `found`."""
    if isinstance(given, str) and is_template(given):
        template = compile_template(given, node_ids)
        found.extend((path, expression) for expression in template.expressions)
        return partial(template.render, nulls=nulls)
    before = len(found)
    if isinstance(given, Mapping):
        entries = {key: _resolver(value, f"{path}.{key}", node_ids, found, nulls=nulls) for key, value in given.items()}
        if len(found) > before:
            return lambda scope: {key: value(scope) for key, value in entries.items()}
    elif isinstance(given, list):
        items = [_resolver(value, f"{path}.{index}", node_ids, found, nulls=nulls) for index, value in enumerate(given)]
        if len(found) > before:
            return lambda scope: [item(scope) for item in items]
    return lambda scope: given
