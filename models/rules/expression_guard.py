"""What is looked at before an expression may run: its length and nesting, and what it would cost with these values.

CEL ends by construction, but the evaluator copies lists while it maps and filters them (quadratic in their length,
measured at 40 to 80 ns per pair), holds the interpreter while it runs, and overflows its stack on very long chains. So
a run is refused before it starts when the estimate below says that it might take long.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from models.errors import FieldError, ForgeError, InvalidInput

Json = Any

MAX_SOURCE = 4_000  # characters
MAX_DEPTH = 32  # nested brackets
MAX_MICROSECONDS = 20_000.0
MAX_CHARACTERS = 16 * 1024 * 1024  # of text that an evaluation may copy
MAX_VALUES = 10_000  # that an evaluation may be given
MAX_DATA_DEPTH = 100
WIDEST_LITERAL = 100  # items of a list written out that a macro is thought to walk through

# Measured, in microseconds per value: handing it over and back, copying it, converting it for a function of ours, and
# keeping it in the list that a macro makes.
MICROSECONDS_HANDED = 1.2
MICROSECONDS_COPIED = 0.12
MICROSECONDS_CALLED = 2.0
MICROSECONDS_KEPT = 0.06

WIDEST_MADE = 500  # items of a list that a function such as `split` makes for a macro to walk through

LIST_MACROS = frozenset({"map", "filter"})
LIST_FUNCTIONS = frozenset({"split", "flatten", "slice", "sort", "reverse", "distinct"})
MACROS = LIST_MACROS | {"all", "exists", "exists_one", "existsOne"}

_TOKEN = re.compile(
    r"""(?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<comment>//[^\n]*)
    |(?P<number>\d[\w.]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<space>\s+)
    |(?P<sign>&&|\|\||[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL,
)


class ExpressionError(InvalidInput):
    """The expression is not one that we run; `position` is its line and column, both counted from 1."""

    code = "invalid_expression"

    def __init__(self, sentence: str, position: tuple[int, int] = (1, 1)) -> None:
        line, column = position
        place = f"column {column}" if line == 1 else f"line {line}, column {column}"
        super().__init__(f"{sentence} ({place})")
        self.sentence = sentence
        self.position = position


class ExpressionFailed(ForgeError):
    """The expression met values that it cannot work with; the same values will fail again."""

    code = "expression_failed"
    place = ""

    def located(self, place: str) -> "ExpressionFailed":
        """The same failure, saying where it happened; `place` is such as `config.url of node 3`."""
        if self.place or not place:
            return self
        failure = ExpressionFailed(f"In {place}: {self.detail}", errors=(FieldError(place, self.detail),))
        failure.place = place
        return failure


@dataclass(frozen=True)
class Token:
    """A piece of an expression: `kind` is string, number, name or sign; `at` counts characters from 0."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Size:
    """How much there is in some values: all of them, the longest list, the largest item of a list, characters."""

    values: int = 0
    widest: int = 0
    largest_item: int = 0
    characters: int = 0


@dataclass(frozen=True)
class Outline:
    """What the cost of an expression depends on, besides its values."""

    tokens: int
    macros: int
    depth: int  # of macros within macros
    copies: bool  # a macro of it makes a list, which takes quadratic time
    splits: bool  # a function of it makes lists that are in no value
    additions: int
    references: int  # to variables; each copies the variable
    written: int  # characters of the texts written out in it
    growth: int  # how many times larger its macros may make an item, one after the other
    inside: frozenset[int]  # the tokens that stand within a macro
    bound: frozenset[str]  # the variables of its macros

    def cost(self, size: Size, repeated: int, *, calls: bool) -> float:
        """Microseconds that an evaluation may take; `repeated` values are read anew for each item of a macro.

        `calls` says that it calls functions of ours, which get their arguments converted.
        """
        each_copy = MICROSECONDS_CALLED if calls else MICROSECONDS_COPIED
        # Each reference may stand in the result, which is handed back.
        total = size.values * (MICROSECONDS_HANDED * (1 + self.references / 2) + self.references * each_copy)
        if not self.macros:
            return total + 0.5 * self.tokens
        widest = max(size.widest, min(self.tokens, WIDEST_LITERAL), WIDEST_MADE if self.splits else 0)
        if self.macros > 1:
            widest *= self.growth
        turns = float(min(widest, 10_000_000)) ** self.depth
        item = min((size.largest_item + 3 * repeated + self.tokens) * self.growth, 10**9)
        body = 0.3 * self.tokens + each_copy * (size.values if repeated else item)
        copied = 0.5 * turns * widest * item * MICROSECONDS_KEPT if self.copies else 0.0
        return total + self.macros * (turns * body + copied)

    def check(self, size: Size, repeated: int = 0, *, calls: bool = False) -> None:
        """Raise `ExpressionFailed` if an evaluation over values of this size might take long or grow large."""
        if self.cost(size, repeated, calls=calls) > MAX_MICROSECONDS:
            raise ExpressionFailed(
                f"This would take too many steps over {size.values:,} values; use a process node with operation map or "
                "filter, or a loop, which take one item at a time."
            )
        turns = float(max(1, size.widest)) ** self.depth if self.macros else 1.0
        copies = (1 + self.references) * (1 + self.additions) * turns * self.growth
        if (size.characters + self.written) * copies > MAX_CHARACTERS:
            raise ExpressionFailed(f"This would copy a text of {size.characters:,} characters too often.")


def tokens(source: str) -> Iterator[Token]:
    """The tokens of `source`, without spaces and comments."""
    for match in _TOKEN.finditer(source):
        kind = str(match.lastgroup)
        if kind not in ("space", "comment"):
            yield Token(kind, match.group(), match.start())


def outline(source: str) -> Outline:
    """Look an expression over; raises `ExpressionError` when it is too long or nested too deeply."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"An expression may have {MAX_SOURCE:,} characters; this one has {len(source):,}.")
    found = list(tokens(source))
    walk = _Walk(found)
    for index, token in enumerate(found):
        walk.see(index, token)
        if len(walk.open) > MAX_DEPTH:
            raise ExpressionError(f"Brackets may be nested {MAX_DEPTH} deep.", position(source, token.at))
    names = list(walk.macros.values())
    return Outline(
        tokens=len(found),
        macros=len(names),
        depth=walk.depth,
        copies=not LIST_MACROS.isdisjoint(names),
        splits=any(token.text in LIST_FUNCTIONS for token in found),
        additions=sum(token.kind == "sign" and token.text == "+" for token in found),
        references=sum(token.kind == "name" for token in found),
        written=sum(len(token.text) for token in found if token.kind == "string"),
        growth=walk.growth,
        inside=frozenset(walk.inside),
        bound=frozenset(found[start + 1].text for start in walk.macros if found[start + 1 : start + 2]),
    )


class _Walk:
    """Follows the brackets of an expression, and which of them hold a macro's arguments."""

    def __init__(self, found: list[Token]) -> None:
        self._found = found
        self.open: list[int] = []
        self.macros: dict[int, str] = {}  # by opening bracket
        self.inside: set[int] = set()
        self.depth, self.growth = 0, 1

    def see(self, index: int, token: Token) -> None:
        """Take the token at `index`."""
        macros = sum(start in self.macros for start in self.open)
        if macros:
            self.inside.add(index)
        if token.kind != "sign":
            return
        if token.text in ("(", "[", "{"):
            self.open.append(index)
            if name := _macro_before(self._found, index):
                self.macros[index] = name
                self.depth = max(self.depth, macros + 1)
        elif token.text in (")", "]", "}") and self.open:
            start = self.open.pop()
            if self.macros.get(start) == "map":
                self.growth = min(self.growth * _uses(self._found, start, index), 10**9)


def _uses(found: list[Token], start: int, end: int) -> int:
    """How often the macro whose brackets these are puts its item into what it makes; 1 when it is no such macro."""
    variable = found[start + 1].text if 0 <= start < end - 1 else ""
    body = found[start + 2 : end] if variable else []
    return max(1, sum(token.kind == "name" and token.text == variable for token in body))


def position(source: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at index `at`."""
    before = source[:at]
    return before.count("\n") + 1, at - before.rfind("\n")


def measure(values: Iterable[Json], most: int = MAX_VALUES) -> Size:
    """How much there is in `values`; raises `ExpressionFailed` beyond `most` values or 100 levels."""
    count = widest = characters = 0
    level = list(values)
    for _ in range(MAX_DATA_DEPTH):
        below: list[Json] = []
        for value in level:
            if isinstance(value, str):
                characters += len(value)
            elif isinstance(value, dict):
                count, widest = count + len(value), max(widest, len(value))
                below.extend(value.values())
                characters += sum(map(len, value))
            elif isinstance(value, list | tuple):
                count, widest = count + len(value), max(widest, len(value))
                below.extend(value)
        count += 1
        if count > most or len(below) > most:
            raise ExpressionFailed(
                f"This expression would handle more than {most:,} values at once; read a part of them, or use a "
                "process node with operation map or filter, or a loop, which take one item at a time."
            )
        if not below:
            return Size(count, widest, 0, characters)
        level = below
    raise ExpressionFailed(f"The data is nested more than {MAX_DATA_DEPTH} levels deep.")


def largest_item(values: Iterable[Json]) -> int:
    """The number of values in the largest item of any list in `values`, which are known to be few."""
    largest, pending = 0, list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            for item in value:
                if isinstance(item, dict | list | tuple):
                    largest = max(largest, measure((item,)).values)
                    pending.append(item)
    return largest


def _macro_before(found: list[Token], index: int) -> str | None:
    """The macro whose arguments the bracket at `index` opens."""
    if found[index].text != "(" or index < 2:
        return None
    name, dot = found[index - 1], found[index - 2]
    return name.text if name.text in MACROS and dot.text == "." else None
