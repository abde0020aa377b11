"""The functions that expressions may call: those of CEL's core, and cel-go's extensions, bounded in what they make."""

import functools
import json
import logging
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import cel
from cel.stdlib import EXTENSIONS

from models.rules.expression_guard import WIDEST_MADE
from models.rules.expression_regex import states

# It warns with the text of a function's refusal, which tells of users' values; the refusal itself reaches the user.
logging.getLogger("cel").setLevel(logging.CRITICAL)

Json = Any
Function = Callable[..., Json]

MAX_TEXT = 1024 * 1024  # characters of a text that a function makes
MAX_PATTERN = 500  # characters
MATCH_MICROSECONDS = 20_000
_MATCHES = cel.compile("a.matches(b)")
MAX_ITEMS = 10_000  # of a list that a function takes or makes

# Functions of CEL's core that the evaluator brings along.
CORE = frozenset(
    {
        *("size", "startsWith", "endsWith", "matches", "has", "max", "min"),
        *("int", "uint", "double", "string", "bytes", "timestamp", "duration", "type", "dyn"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
_CHOSEN = {
    "core": ("bool", "min", "max", "sum"),
    "strings": (
        *("charAt", "indexOf", "lastIndexOf", "substring", "replace", "split", "join"),
        *("lowerAscii", "upperAscii", "trim"),
    ),
    "math": (
        *("math.greatest", "math.least", "math.abs", "math.sign", "math.ceil", "math.floor", "math.round"),
        *("math.trunc", "math.sqrt"),
    ),
    "lists": ("contains", "distinct", "flatten", "slice", "sort", "reverse", "first", "last"),
}


def _replaced(text: str, old: str, new: str, limit: int = -1) -> str:
    count = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + count * (len(new) - len(old)) > MAX_TEXT:
        raise ValueError(f"replace would make a text of more than {MAX_TEXT:,} characters")
    return text.replace(old, new, limit)


def _joined(items: list[str], separator: str = "") -> str:
    if sum(len(item) + len(separator) for item in items) > MAX_TEXT:
        raise ValueError(f"join would make a text of more than {MAX_TEXT:,} characters")
    return separator.join(items)


def _lower(text: str) -> str:
    return text.lower()


def _upper(text: str) -> str:
    return text.upper()


def _string(value: Json) -> str:
    """As CEL's `string`, which knows no booleans, null, lists or objects; those are written as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) > MAX_TEXT:
        raise ValueError(f"string would make a text of more than {MAX_TEXT:,} characters")
    return text


def _url_encoded(text: Json) -> str:
    """A text as it may stand in an address; for numbers, write urlEncode(string(x))."""
    if not isinstance(text, str) or len(text) * 12 > MAX_TEXT:
        raise ValueError("urlEncode takes a text, and not a very long one")
    return urllib.parse.quote(text.encode("utf-8", "replace"), safe="")


class Matcher:
    """`matches`, with a budget for one evaluation: large patterns take milliseconds to compile, each time."""

    def __init__(self) -> None:
        self._left = MATCH_MICROSECONDS

    def __call__(self, text: Json, pattern: Json) -> bool:
        """Whether `pattern` (RE2) is found in `text`."""
        if not isinstance(text, str) or not isinstance(pattern, str):
            raise ValueError("matches takes a text and a regular expression")
        if len(pattern) > MAX_PATTERN:
            raise ValueError(f"a regular expression may have {MAX_PATTERN} characters")
        size = states(pattern)
        self._left -= 5 + size * 6 + size * len(text) // 500
        if self._left < 0:
            raise ValueError("these regular expressions would take too long; make them smaller, or match fewer texts")
        try:
            return bool(_MATCHES.execute({"a": text, "b": pattern}))
        except RuntimeError:
            raise ValueError("this is no regular expression that can be used; look-around cannot") from None


_CALLABLES: dict[str, Function] = {
    name: EXTENSIONS[library][name] for library, names in _CHOSEN.items() for name in names
} | {
    "replace": _replaced,
    "join": _joined,
    "lowerAscii": _lower,
    "upperAscii": _upper,
    "string": _string,
    "urlEncode": _url_encoded,
}


def _bounded(name: str, function: Function, most: int) -> Function:
    """Refuse lists that are too long, on the way in and on the way out."""

    @functools.wraps(function)
    def call(*arguments: Json) -> Json:
        for value in arguments:
            if isinstance(value, list | tuple) and len(value) > MAX_ITEMS:
                raise ValueError(f"{name} takes lists of at most {MAX_ITEMS:,} items")
        if name == "distinct" and len(arguments[0]) > WIDEST_MADE:
            raise ValueError(f"{name} takes lists of at most {WIDEST_MADE:,} items")
        made = function(*arguments)
        if isinstance(made, list) and len(made) > most:
            raise ValueError(f"{name} would make a list of {len(made):,} items; here {most:,} are allowed")
        return made

    return call


_FREE: Mapping[str, Function] = {name: _bounded(name, f, MAX_ITEMS) for name, f in _CALLABLES.items()}
_WITHIN_MACROS: Mapping[str, Function] = {name: _bounded(name, f, WIDEST_MADE) for name, f in _CALLABLES.items()}
KNOWN = CORE | _CALLABLES.keys()
LAST_WORDS = frozenset(name.rpartition(".")[2] for name in KNOWN)  # `math.round` is reported as `round`


def functions(names: frozenset[str], *, with_macros: bool) -> dict[str, Function]:
    """The functions called `names`; where macros may walk through what they make, with tighter bounds."""
    offered = _WITHIN_MACROS if with_macros else _FREE
    return {name: function for name, function in offered.items() if name.rpartition(".")[2] in names}
