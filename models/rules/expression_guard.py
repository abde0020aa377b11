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
MAX_MICROSECONDS = 50_000.0
MAX_CHARACTERS = 64 * 1024 * 1024  # of text that an evaluation may copy
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
class Outline:
    """What the cost of an expression depends on, besides its values."""

    tokens: int
    macros: int
    depth: int  # of macros within macros
    copies: bool  # a macro of it makes a list, which takes quadratic time
    splits: bool  # a function of it makes lists that are in no value
    additions: int
    bound: frozenset[str]  # the variables of its macros

    def check(self, values: Iterable[Json]) -> None:
        """Raise `ExpressionFailed` if an evaluation over `values` might take long or grow large."""
        if not self.macros and self.additions < 8:
            return
        widest, longest = measure(values)
        widest = max(widest, self.tokens, WIDEST_MADE if self.splits else 0)
        turns = float(min(widest, 10_000_000)) ** self.depth
        each = 0.2 * self.tokens + (0.08 * widest if self.copies else 0.3)
        if self.macros and max(1, self.macros) * turns * each > MAX_MICROSECONDS:
            raise ExpressionFailed(
                f"This would take too many steps over {widest:,} items; use a process node (filter, map, sort, reduce) "
                "or a loop, which have no such limit."
            )
        if turns * longest * (1 + self.additions) > MAX_CHARACTERS:
            raise ExpressionFailed(f"This would copy a text of {longest:,} characters too often.")


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
    open_macros: list[bool] = []  # by open bracket: whether it holds a macro's arguments
    bound: set[str] = set()
    macros = depth = additions = 0
    copies = False
    for index, token in enumerate(found):
        if token.kind != "sign":
            continue
        if token.text in ("(", "[", "{"):
            name = _macro_before(found, index)
            open_macros.append(name is not None)
            if name:
                macros += 1
                depth = max(depth, sum(open_macros))
                copies = copies or name in LIST_MACROS
                bound |= {t.text for t in found[index + 1 : index + 2] if t.kind == "name"}
        elif token.text in (")", "]", "}") and open_macros:
            open_macros.pop()
        additions += token.text == "+"
        if len(open_macros) > MAX_DEPTH:
            raise ExpressionError(f"Brackets may be nested {MAX_DEPTH} deep.", position(source, token.at))
    splits = any(token.text in LIST_FUNCTIONS for token in found)
    return Outline(len(found), macros, depth, copies, splits, additions, frozenset(bound))


def position(source: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at index `at`."""
    before = source[:at]
    return before.count("\n") + 1, at - before.rfind("\n")


def measure(values: Iterable[Json]) -> tuple[int, int]:
    """The longest list or object and the longest text anywhere in `values`."""
    widest = longest = 0
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            longest = max(longest, len(value))
        elif isinstance(value, dict):
            widest = max(widest, len(value))
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            widest = max(widest, len(value))
            pending.extend(value)
    return widest, longest


def _macro_before(found: list[Token], index: int) -> str | None:
    """The macro whose arguments the bracket at `index` opens."""
    if found[index].text != "(" or index < 2:
        return None
    name, dot = found[index - 1], found[index - 2]
    return name.text if name.text in MACROS and dot.text == "." else None
