"""A node's config by the fields of its kind: checked when it is saved, compiled once, resolved for every attempt."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.rules.expressions import Expression, ExpressionError, ExpressionFailed
from models.rules.fields import checked, kind_of, listed_problems
from models.rules.findings import Finding, error, warning
from models.rules.graph import Node
from models.rules.kinds import Config, Field, NodeKind
from models.rules.templates import Template, compile_bare, compile_template, is_template

Json = Any
Resolver = Callable[[Mapping[str, Json]], Json]
CEL_KINDS = ("condition", "expression")
DEFAULT_ITERATIONS = 100


@dataclass(frozen=True)
class LoopCondition:
    """What a `while` loop asks before each iteration."""

    expression: Expression
    most: int  # iterations

    def holds(self, scope: Mapping[str, Json], index: int) -> bool:
        """Whether iteration `index` shall start; raises `ExpressionFailed` when it holds for too long or is unclear."""
        answer = self.expression.evaluate(scope)
        if not isinstance(answer, bool):
            raise ExpressionFailed(f"It must be true or false, not {kind_of(answer)}.").located(self.expression.place)
        if answer and index >= self.most:
            raise ExpressionFailed(f"It still holds after {self.most:,} iterations, which is maxIterations.").located(
                self.expression.place
            )
        return answer


@dataclass(frozen=True)
class CompiledConfig:
    """A compiled config. `nodes` are the node ids that it reads (None: any), `names` the variables."""

    constants: Config
    dynamic: tuple[tuple[Field, Resolver, str], ...]  # field, its value, and its place for errors
    expressions: tuple[tuple[str, Expression], ...]  # all expressions, each with its path such as `config.headers.X`

    loop_condition: LoopCondition | None = None  # of a loop with `while`

    @property
    def nodes(self) -> frozenset[str] | None:
        """Ids of the nodes whose outputs are read; None when that is known at run time only."""
        read = [expression.nodes for _, expression in self.expressions]
        return None if None in read else frozenset().union(*(ids for ids in read if ids))

    @property
    def names(self) -> frozenset[str]:
        """The variables that are read."""
        return frozenset().union(*(expression.names for _, expression in self.expressions))

    def resolve(self, scope: Mapping[str, Json]) -> Config:
        """The config with each `{{ }}` computed; raises `ExpressionFailed` naming node, field and reason."""
        if not self.dynamic:
            return self.constants
        config = dict(self.constants)
        for field, resolver, place in self.dynamic:
            try:
                value = checked(field, resolver(scope))
            except ExpressionFailed as failure:
                raise failure.located(place) from None
            if value is not None:
                config[field.name] = value
        return config


def compile_config(kind: NodeKind, node: Node, node_ids: frozenset[str]) -> CompiledConfig:
    """Compile the config of a node that the linter found right; raises `ExpressionError` or `ExpressionFailed`."""
    constants: dict[str, Json] = {}
    dynamic: list[tuple[Field, Resolver, str]] = []
    expressions: list[tuple[str, Expression]] = []
    for field in kind.fields_for(node.config):
        given = node.config.get(field.name)
        if given is None or given == "":
            continue
        place = f"config.{field.name} of node {node.id}"
        found: list[tuple[str, Expression]] = []
        if field.kind in CEL_KINDS:
            constants[field.name] = _bare(given, place, f"config.{field.name}", node_ids, found)
        elif field.kind == "cases":
            constants[field.name] = _cases(given, node, node_ids, found)
        else:
            resolver = _resolver(given, f"config.{field.name}", node_ids, found)
            if found:
                dynamic.append((field, resolver, place))
            else:
                constants[field.name] = checked(field, given)
        expressions.extend(found)
    condition = constants.get("while") if kind.container else None
    most = constants.get("maxIterations", DEFAULT_ITERATIONS)
    return CompiledConfig(
        constants, tuple(dynamic), tuple(expressions), LoopCondition(condition, int(most)) if condition else None
    )


def check_config(kind: NodeKind, node: Node, node_ids: frozenset[str], where: str) -> Iterator[Finding]:
    """What is wrong with a node's config; `where` is its path in the document, such as `nodes.3.config`."""
    fields = {field.name: field for field in kind.fields_for(node.config)}
    for name in node.config:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, 1)
            hint = f"; did you mean `{near[0]}`?" if near else "."
            message = f"A node of type {kind.type} has no setting `{name}`{hint}"
            yield warning("unknown_config", f"{where}.{name}", message, node_id=node.id)
    for field in kind.fields_for(node.config):
        given = node.config.get(field.name)
        if given is None or given == "":
            if field.required:
                message = f"A node of type {kind.type} needs `{field.name}`."
                yield error("missing_config", f"{where}.{field.name}", message, node_id=node.id)
            continue
        yield from _check_field(field, given, node, node_ids, f"{where}.{field.name}")
    for severity, name, sentence in kind.findings(node.config):
        make = error if severity == "error" else warning
        yield make("config", f"{where}.{name}" if name else where, sentence, node_id=node.id)


def expressions_of(kind: NodeKind, node: Node, node_ids: frozenset[str]) -> Iterator[tuple[str, Expression]]:
    """Every expression of the config that compiles, with its path such as `config.headers.X`."""
    for field in kind.fields_for(node.config):
        given = node.config.get(field.name)
        for path, value in _strings(field, given):
            try:
                template = _compiled(field, path, value, node_ids)
            except ExpressionError:
                continue
            yield from ((f"config.{path}", expression) for expression in template.expressions)


def _check_field(field: Field, given: Json, node: Node, node_ids: frozenset[str], where: str) -> Iterator[Finding]:
    dynamic = False
    for path, value in _strings(field, given):
        try:
            dynamic |= not _compiled(field, path, value, node_ids).constant
        except ExpressionError as refused:
            place = where.removesuffix(field.name) + path
            yield error("invalid_expression", place, str(refused), node_id=node.id)
            return
    if field.kind == "cases":
        yield from (
            error("invalid_cases", f"{where}{path}", text, node_id=node.id) for path, text in listed_problems(given)
        )
    elif field.kind in CEL_KINDS and not isinstance(given, str | bool):
        yield error("invalid_config", where, f"`{field.name}` must be an expression, written as text.", node_id=node.id)
    elif field.kind not in CEL_KINDS and not (dynamic and isinstance(given, str)):
        try:
            checked(field, given)
        except ExpressionFailed as refused_value:
            yield error("invalid_config", where, str(refused_value), node_id=node.id)


def _strings(field: Field, given: Json) -> Iterator[tuple[str, str]]:
    """Each string of a field that may hold an expression, with its path within the config."""
    if field.kind == "choice":
        return
    pending = [(field.name, given)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str) and value:
            if field.kind != "cases" or path.endswith(".condition"):
                yield path, value
        elif isinstance(value, Mapping):
            pending.extend((f"{path}.{key}", item) for key, item in value.items())
        elif isinstance(value, list):
            pending.extend((f"{path}.{index}", item) for index, item in enumerate(value))


def _compiled(field: Field, path: str, value: str, node_ids: frozenset[str]) -> Template:
    if field.kind in (*CEL_KINDS, "cases"):
        return Template((compile_bare(value, node_ids),))
    return compile_template(value, node_ids)


def _bare(
    given: Json, place: str, path: str, node_ids: frozenset[str], found: list[tuple[str, Expression]]
) -> Expression:
    text = given if isinstance(given, str) else str(given).lower()
    expression = replace(compile_bare(text, node_ids), place=place)
    found.append((path, expression))
    return expression


def _cases(given: Json, node: Node, node_ids: frozenset[str], found: list[tuple[str, Expression]]) -> Json:
    return [
        (
            case["name"],
            _bare(
                case["condition"],
                f"config.cases.{index}.condition of node {node.id}",
                f"config.cases.{index}.condition",
                node_ids,
                found,
            ),
        )
        for index, case in enumerate(given)
    ]


def _resolver(given: Json, path: str, node_ids: frozenset[str], found: list[tuple[str, Expression]]) -> Resolver:
    """What computes `given`; the expressions in it are added to `found`."""
    if isinstance(given, str) and is_template(given):
        template = compile_template(given, node_ids)
        found.extend((path, expression) for expression in template.expressions)
        return template.render
    before = len(found)
    if isinstance(given, Mapping):
        entries = {key: _resolver(value, f"{path}.{key}", node_ids, found) for key, value in given.items()}
        if len(found) > before:
            return lambda scope: {key: value(scope) for key, value in entries.items()}
    elif isinstance(given, list):
        items = [_resolver(value, f"{path}.{index}", node_ids, found) for index, value in enumerate(given)]
        if len(found) > before:
            return lambda scope: [item(scope) for item in items]
    return lambda scope: given
