"""Texts with `{{ expression }}` in them, compiled once and rendered for every attempt.

A text that is exactly one `{{ }}` keeps the value's type; otherwise values stand in the text, texts as they are and all
others as JSON. A literal `{{` is written `{{ "{{" }}`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.rules.expressions import Expression, ExpressionError, ExpressionFailed, compile_expression

Json = Any
MAX_PARTS = 500
MAX_TEXT = 1024 * 1024  # characters of a rendered text
_INSIDE = re.compile(r'"""|\'\'\'|["\'{}]')


@dataclass(frozen=True)
class Template:
    """A compiled text. `nodes` are the node ids that it reads (None: any), `names` the variables."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def constant(self) -> bool:
        """Whether it is plain text."""
        return not self.expressions

    def render(self, scope: Mapping[str, Json]) -> Json:
        """The text, or the value of its only expression; raises `ExpressionFailed`."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return part if isinstance(part, str) else part.evaluate(scope)
        pieces, length = [], 0
        for part in self.parts:
            piece = part if isinstance(part, str) else value_text(part.evaluate(scope))
            length += len(piece)
            if length > MAX_TEXT:
                raise ExpressionFailed(f"The text would be longer than {MAX_TEXT:,} characters.")
            pieces.append(piece)
        return "".join(pieces)


def value_text(value: Json) -> str:
    """A value as it stands in a text; raises `ExpressionFailed` when that would be too long."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # as people write it
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise ExpressionFailed("The value cannot be written as text.") from None
    if len(text) > MAX_TEXT:
        raise ExpressionFailed(f"The text would be longer than {MAX_TEXT:,} characters.")
    return text


def is_template(text: str) -> bool:
    """Whether `text` has an expression in it."""
    return "{{" in text


def compile_template(text: str, node_ids: frozenset[str] = frozenset()) -> Template:
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
    return Template(tuple(parts))


def compile_bare(text: str, node_ids: frozenset[str] = frozenset()) -> Expression:
    """Compile a CEL field, which may be written bare or as one `{{ }}`; raises `ExpressionError`."""
    begin = len(text) - len(text.lstrip())
    if not text.startswith("{{", begin):
        return compile_expression(text, node_ids)
    end = _end(text, begin + 2)
    if end < 0:
        # `{{"a": 1}: 2}` is no template, and no sensible expression either.
        raise _moved(ExpressionError("`{{` has no closing `}}`."), text, begin)
    if text[end + 2 :].strip():
        raise _moved(ExpressionError("Here stands one expression, without text around it."), text, end + 2)
    return _part(text, begin + 2, end, node_ids)


def _part(text: str, begin: int, end: int, node_ids: frozenset[str]) -> Expression:
    try:
        return compile_expression(text[begin:end], node_ids)
    except ExpressionError as error:
        raise _moved(error, text, begin) from None


def _end(text: str, at: int) -> int:
    """Where the `}}` is that closes the expression beginning at `at`, skipping quotes and balanced braces; or -1."""
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
            at = _closing_quote(text, at, mark)
            if at < 0:
                return -1
    return -1


def _closing_quote(text: str, at: int, quote: str) -> int:
    raw = at - len(quote) > 0 and text[at - len(quote) - 1] in "rR"
    while (end := text.find(quote, at)) >= 0:
        slashes = 0
        while not raw and text[end - 1 - slashes] == "\\" and end - 1 - slashes >= at:
            slashes += 1
        if slashes % 2 == 0:
            return end + len(quote)
        at = end + 1
    return -1


def _moved(error: ExpressionError, text: str, begin: int) -> ExpressionError:
    """`error`, whose position counts from `begin`, with its position in the whole text."""
    line, column = error.position
    before = text[:begin]
    lines = before.count("\n")
    return ExpressionError(
        error.sentence, (lines + line, column + (begin - before.rfind("\n") - 1 if line == 1 else 0))
    )
