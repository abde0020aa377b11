"""Texts with `{{ expression }}` in them, compiled once and rendered for every attempt.

A text that is exactly one `{{ }}` keeps the value's type; otherwise the values become parts of the text: texts as they
are, all others as JSON. A literal `{{` is written `{{ "{{" }}`.
"""

import re
from dataclasses import dataclass

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.evaluate import Expression, Mode, compile_expression
from models.rules.values.json_values import MAX_TEXT, value_text
from models.rules.values.scope import Scope
from models.serialization import Json

MAX_PARTS = 500
_INSIDE = re.compile(r"""["'`{}]""")
_QUOTED = {quote: re.compile(rf"(?:\\.|[^\\{quote}])*{quote}", re.DOTALL) for quote in "\"'`"}


@dataclass(frozen=True)
class TextTemplate:
    """A compiled text."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it; plain text has none."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    def render(self, scope: Scope, *, nulls: bool = True) -> Json:
        """The text, or the value of its only expression; raises `ExpressionFailed`, without `nulls` also for null."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return part if isinstance(part, str) else part.evaluate(scope)
        pieces, length = [], 0
        for part in self.parts:
            value = part if isinstance(part, str) else part.evaluate(scope)
            if value is None and isinstance(part, Expression) and not nulls:
                raise ExpressionFailed(f"`{part.source.strip()[:60]}` is null, and must not be within this text.")
            pieces.append(value_text(value))
            length += len(pieces[-1])
            if length > MAX_TEXT:
                raise ExpressionFailed(f"The text would be longer than {MAX_TEXT:,} characters.")
        return "".join(pieces)


def is_template(text: str) -> bool:
    """Whether `text` has an expression in it."""
    return "{{" in text


def compile_template(text: str, node_ids: frozenset[str] = frozenset()) -> TextTemplate:
    """Compile a text with `{{ }}`; raises `ExpressionError` with the position in `text`."""
    parts: list[str | Expression] = []
    at = 0
    while (begin := text.find("{{", at)) >= 0:
        if begin > at:
            parts.append(text[at:begin])
        end = _end(text, begin + 2)
        if end < 0:
            raise _moved(ExpressionError("`{{` has no closing `}}`."), text, begin)
        parts.append(_part(text, begin + 2, end, node_ids))
        if len(parts) > MAX_PARTS:
            raise _moved(ExpressionError(f"A text may hold at most {MAX_PARTS} pieces."), text, begin)
        at = end + 2
    if at < len(text) or not parts:
        parts.append(text[at:])
    return TextTemplate(tuple(parts))


def compile_bare(text: str, node_ids: frozenset[str] = frozenset(), mode: Mode = "expression") -> Expression:
    """Compile an expression that may be written with or without `{{ }}`; raises `ExpressionError`."""
    begin = len(text) - len(text.lstrip())
    if not text.startswith("{{", begin) or mode == "body":
        return compile_expression(text, node_ids, mode)
    end = _end(text, begin + 2)
    if end < 0:
        raise _moved(ExpressionError("`{{` has no closing `}}`."), text, begin)
    if text[end + 2 :].strip():
        raise _moved(ExpressionError("This must be one expression, without text around it."), text, end + 2)
    return _part(text, begin + 2, end, node_ids)


def _part(text: str, begin: int, end: int, node_ids: frozenset[str]) -> Expression:
    try:
        return compile_expression(text[begin:end], node_ids)
    except ExpressionError as error:
        raise _moved(error, text, begin) from None


def _end(text: str, at: int) -> int:
    """The index of the `}}` that closes the expression at `at`, past quotes and balanced braces; -1 without one."""
    depth = 0
    while match := _INSIDE.search(text, at):
        mark, at = match[0], match.end()
        if mark == "{":
            depth += 1
        elif mark == "}" and depth:
            depth -= 1
        elif mark == "}":
            if text.startswith("}", at):
                return at - 1
        else:
            quoted = _QUOTED[mark].match(text, at)
            at = quoted.end() if quoted else len(text)
    return -1


def _moved(error: ExpressionError, text: str, begin: int) -> ExpressionError:
    """`error` at `begin` with its position changed to that in the whole text."""
    line, column = error.position
    lines, last = text.count("\n", 0, begin), begin - text.rfind("\n", 0, begin) - 1
    return ExpressionError(error.sentence, (lines + line, column + (last if line == 1 else 0)))
