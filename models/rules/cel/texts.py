"""Functions on texts. Positions count characters from 0."""

import urllib.parse
from typing import Any

import cel

from models.rules.cel import regex
from models.rules.cel.meter import ExpressionFailed, Meter
from models.rules.cel.operators import compute, contains
from models.rules.cel.signatures import Signature

Json = Any
MAX_PATTERN = 500  # characters
_MATCHES = cel.compile("a.matches(b)")
_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _contains(meter: Meter, where: Json, what: Json) -> bool:
    if not isinstance(where, str):
        return contains(where, what, meter)
    if not isinstance(what, str):
        raise ExpressionFailed("A text contains texts only; convert with string(x).")
    meter.charge(1 + len(where) // 500)
    return what in where


def _matches(meter: Meter, text: str, pattern: str) -> bool:
    if len(pattern) > MAX_PATTERN:
        raise ExpressionFailed(f"A regular expression may have at most {MAX_PATTERN} characters.")
    size = regex.states(pattern)
    meter.charge(10 + size * 6 + size * len(text) // 500)
    try:
        return bool(compute(_MATCHES, a=text, b=pattern))
    except ExpressionFailed:
        raise ExpressionFailed("This is not a regular expression that can be used (look-around is not).") from None


def _translate(meter: Meter, text: str, table: dict[int, int]) -> str:
    meter.make_text(len(text) * 2)
    return text.translate(table)


def _trim(meter: Meter, text: str) -> str:
    meter.make_text(len(text))
    return text.strip()


def _replace(meter: Meter, text: str, old: str, new: str, limit: int = -1) -> str:
    meter.charge(1 + len(text) // 500)
    count = text.count(old)
    if limit >= 0:
        count = min(count, int(limit))
    meter.make_text(len(text) + count * max(0, len(new) - len(old)))
    return text.replace(old, new, int(limit))


def _split(meter: Meter, text: str, separator: str, limit: int = -1) -> list[str]:
    meter.charge(1 + len(text) // 500)
    pieces = len(text) if not separator else text.count(separator) + 1
    meter.charge((pieces if limit < 0 else min(pieces, int(limit))) // 8)
    if limit == 0:
        return []
    if not separator:
        return list(text) if limit < 0 else [*text[: int(limit) - 1], *([text[int(limit) - 1 :]] if text else [])]
    return text.split(separator, int(limit) - 1 if limit > 0 else -1)


def _join(meter: Meter, items: list[Json], separator: str = "") -> str:
    meter.charge(1 + len(items) // 8)
    if not all(isinstance(item, str) for item in items):
        raise ExpressionFailed("join() needs a list of texts; write items.map(x, string(x)).join(', ').")
    meter.make_text(sum(map(len, items)) + len(items) * len(separator))
    return separator.join(items)


def _substring(meter: Meter, text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else int(end)
    if not 0 <= start <= stop <= len(text):
        raise ExpressionFailed(f"substring({int(start)}, {stop}) is outside a text of {len(text)} characters.")
    meter.make_text(stop - int(start))
    return text[int(start) : stop]


def _char_at(meter: Meter, text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise ExpressionFailed(f"charAt({int(index)}) is outside a text of {len(text)} characters.")
    return text[int(index) : int(index) + 1]


def _index_of(meter: Meter, text: str, part: str, start: int = 0) -> int:
    meter.charge(1 + len(text) // 500)
    return text.find(part, max(0, int(start)))


def _last_index_of(meter: Meter, text: str, part: str) -> int:
    meter.charge(1 + len(text) // 200)
    # rfind is quadratic at worst, find is not: the text is searched backwards by reversing both.
    found = text[::-1].find(part[::-1])
    return -1 if found < 0 else len(text) - found - len(part)


def _url_encode(meter: Meter, text: str) -> str:
    meter.make_text(len(text) * 12)
    return urllib.parse.quote(text.encode("utf-8", "replace"), safe="")


SIGNATURES = (
    Signature("contains", ("any", "any"), _contains),
    Signature("startsWith", ("text", "text"), lambda meter, text, part: text.startswith(part)),
    Signature("endsWith", ("text", "text"), lambda meter, text, part: text.endswith(part)),
    Signature("matches", ("text", "text"), _matches),
    Signature("lowerAscii", ("text",), lambda meter, text: _translate(meter, text, _LOWER)),
    Signature("upperAscii", ("text",), lambda meter, text: _translate(meter, text, _UPPER)),
    Signature("trim", ("text",), _trim),
    Signature("replace", ("text", "text", "text", "whole"), _replace, required=3),
    Signature("split", ("text", "text", "whole"), _split, required=2),
    Signature("join", ("list", "text"), _join, required=1),
    Signature("substring", ("text", "whole", "whole"), _substring, required=2),
    Signature("charAt", ("text", "whole"), _char_at),
    Signature("indexOf", ("text", "text", "whole"), _index_of, required=2),
    Signature("lastIndexOf", ("text", "text"), _last_index_of),
    Signature("urlEncode", ("text",), _url_encode),
)
