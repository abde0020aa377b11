"""The tree of an expression. Operators and paths of any length are flat, so only real nesting makes a tree deep."""

from dataclasses import dataclass, field
from typing import Any

MAX_HEIGHT = 48


@dataclass(frozen=True, slots=True)
class Tree:
    """Any expression; `start` is its first character in the source."""

    start: int

    @property
    def parts(self) -> "tuple[Tree, ...]":
        """The expressions that this one is made of."""
        return ()


@dataclass(frozen=True, slots=True)
class Literal(Tree):
    """A value written out."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Tree):
    """A variable, one that a macro binds, or a type such as `int`."""

    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """One `.field` or `[key]` of a path; `at` is where it is written."""

    at: int
    key: Tree | str


@dataclass(frozen=True, slots=True)
class Path(Tree):
    """`operand.field[key]...`."""

    operand: Tree
    steps: tuple[Step, ...]

    @property
    def parts(self) -> tuple[Tree, ...]:
        return (self.operand, *(step.key for step in self.steps if isinstance(step.key, Tree)))


@dataclass(frozen=True, slots=True)
class Has(Tree):
    """`has(operand.field)`."""

    path: Path

    @property
    def parts(self) -> tuple[Tree, ...]:
        return (self.path,)


@dataclass(frozen=True, slots=True)
class ListOf(Tree):
    """`[a, b]`."""

    items: tuple[Tree, ...]

    @property
    def parts(self) -> tuple[Tree, ...]:
        return self.items


@dataclass(frozen=True, slots=True)
class MapOf(Tree):
    """`{key: value}`."""

    entries: tuple[tuple[Tree, Tree], ...]

    @property
    def parts(self) -> tuple[Tree, ...]:
        return tuple(part for entry in self.entries for part in entry)


@dataclass(frozen=True, slots=True)
class Unary(Tree):
    """`!operand` or `-operand`."""

    operator: str
    operand: Tree

    @property
    def parts(self) -> tuple[Tree, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Chain(Tree):
    """`first op operand op operand ...` with operators of one precedence, from left to right."""

    first: Tree
    rest: tuple[tuple[str, int, Tree], ...]

    @property
    def parts(self) -> tuple[Tree, ...]:
        return (self.first, *(operand for _, _, operand in self.rest))


@dataclass(frozen=True, slots=True)
class Choose(Tree):
    """`condition ? value : condition ? value : ... : otherwise`."""

    cases: tuple[tuple[Tree, Tree], ...]
    otherwise: Tree

    @property
    def parts(self) -> tuple[Tree, ...]:
        return (*(part for case in self.cases for part in case), self.otherwise)


@dataclass(frozen=True, slots=True)
class Call(Tree):
    """`function(a, b)`, or `a.function(b)`, which is the same."""

    function: str
    arguments: tuple[Tree, ...]

    @property
    def parts(self) -> tuple[Tree, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class Macro(Tree):
    """`source.kind(variable, condition?, body)`."""

    kind: str
    source: Tree
    variable: str
    body: Tree
    condition: Tree | None = None

    @property
    def parts(self) -> tuple[Tree, ...]:
        return (self.source, self.body, *((self.condition,) if self.condition else ()))


@dataclass(slots=True)
class Facts:
    """What is known about an expression before it runs."""

    names: set[str] = field(default_factory=set)
    nodes: set[str] | None = field(default_factory=set)  # None: any node may be read


def facts(tree: Tree) -> Facts:
    """Which variables and which nodes `tree` reads; what a macro binds is not counted."""
    found = Facts()
    pending: list[tuple[Tree, frozenset[str]]] = [(tree, frozenset())]
    while pending:
        part, bound = pending.pop()
        if isinstance(part, Name) and part.name not in bound:
            found.names.add(part.name)
            if part.name == "nodes":
                found.nodes = None
        elif isinstance(part, Macro):
            pending.append((part.source, bound))
            inside = bound | {part.variable}
            pending.extend((p, inside) for p in (part.condition, part.body) if p)
        elif (node := _node(part, bound)) is not None and isinstance(part, Path):
            found.names.add("nodes")
            if found.nodes is not None:
                found.nodes.add(node)
            pending.extend((p, bound) for p in part.parts[1:])
        else:
            pending.extend((p, bound) for p in part.parts)
    return found


def _node(part: Tree, bound: frozenset[str]) -> str | None:
    """The node that a path such as `nodes.x.output` names."""
    if not isinstance(part, Path) or not isinstance(part.operand, Name):
        return None
    if part.operand.name != "nodes" or "nodes" in bound:
        return None
    key = part.steps[0].key
    if isinstance(key, Literal):
        return key.value if isinstance(key.value, str) else None
    return key if isinstance(key, str) else None
