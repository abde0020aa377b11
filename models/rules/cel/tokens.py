"""Cuts an expression into tokens, each with its place."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import cel

from models.rules.cel.meter import ExpressionError

MAX_SOURCE = 4_000  # characters
_STRING = r'"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\r\n]|\\.)*"|\'(?:[^\'\\\r\n]|\\.)*\''
_RAW = r'[rR](?:"""(?:.)*?"""|\'\'\'(?:.)*?\'\'\'|"[^"\r\n]*"|\'[^\'\r\n]*\')'
_TOKEN = re.compile(
    rf"(?P<space>\s+|//[^\r\n]*)"
    rf"|(?P<text>[bB]?(?:{_RAW}|{_STRING}))"
    r"|(?P<double>(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)"
    r"|(?P<int>(?:0x[0-9a-fA-F]+|[0-9]+)[uU]?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])",
    re.DOTALL,
)
_HINTS = {"=": "Write `==` to compare.", "&": "Write `&&` for and.", "|": "Write `||` for or."}
_NODES = re.compile(r"(?<![\w.])nodes\s*\.\s*")
LONGEST_ID = 64


class Token(NamedTuple):
    """One word of an expression; `value` is what a literal stands for."""

    kind: str  # text, double, int, name, node, sign or end
    text: str
    at: int
    value: Any = None


def position(source: str, at: int) -> tuple[int, int]:
    """Line and column of the character `at`, counted from 1."""
    before = source[:at]
    return before.count("\n") + 1, at - before.rfind("\n")


def refusal(source: str, at: int, sentence: str) -> ExpressionError:
    """An error that says where it is."""
    return ExpressionError(sentence, position(source, at))


def node_references(source: str, node_ids: frozenset[str]) -> dict[int, str]:
    """Where the source reads `nodes.<id>` with a known id, the longest one first: place of the id -> id.

    Ids need not be identifiers (`nodes.node-1.output`); a place inside a string literal is listed too and does no harm.
    """
    found: dict[int, str] = {}
    for match in _NODES.finditer(source):
        at = match.end()
        for length in range(min(LONGEST_ID, len(source) - at), 0, -1):
            candidate = source[at : at + length]
            if candidate in node_ids and not _goes_on(source, at + length):
                found[at] = candidate
                break
    return found


def _goes_on(source: str, end: int) -> bool:
    """Whether the word before `end` does not stop there."""
    following = source[end : end + 1]
    return (
        bool(following)
        and (following.isalnum() or following == "_")
        and (source[end - 1].isalnum() or source[end - 1] == "_")
    )


def tokens(source: str, references: Mapping[int, str]) -> list[Token]:
    """All tokens of `source` and an end; raises `ExpressionError` at the first character that begins none."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            f"An expression may have at most {MAX_SOURCE:,} characters; this one has {len(source):,}."
        )
    found: list[Token] = []
    at = 0
    while at < len(source):
        if at in references and _after_nodes(found):
            found.append(Token("node", references[at], at))
            at += len(references[at])
            continue
        match = _TOKEN.match(source, at)
        if match is None:
            raise refusal(source, at, _complaint(source, at))
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(_token(source, kind, match[0], at))
        at = match.end()
    return [*found, Token("end", "", len(source))]


def _after_nodes(found: list[Token]) -> bool:
    """Whether the tokens so far end in `nodes.` (and not in `x.nodes.`)."""
    if len(found) < 2 or (found[-2].text, found[-1].text) != ("nodes", "."):
        return False
    return len(found) == 2 or found[-3].text != "."


def _complaint(source: str, at: int) -> str:
    character = source[at]
    if character in "\"'":
        return "This text has no closing quote, or an escape that does not exist."
    return _HINTS.get(character, f"`{character}` has no meaning in an expression.")


def _token(source: str, kind: str, text: str, at: int) -> Token:
    if kind == "int":
        value = int(text.rstrip("uU"), 0) if text[:2] in ("0x", "0X") else int(text.rstrip("uU"))
        if value > 2**63:
            raise refusal(source, at, f"{text} is too large; a whole number has at most 64 bits.")
        return Token(kind, text, at, value)
    if kind == "double":
        number = float(text)
        if number in (float("inf"),):
            raise refusal(source, at, f"{text} is too large for a number.")
        return Token(kind, text, at, number)
    if kind == "text":
        return Token(kind, text, at, _unquoted(source, text, at))
    return Token(kind, text, at)


def _unquoted(source: str, text: str, at: int) -> Any:
    try:
        value = cel.compile(text).execute({})
    except BaseException as error:  # a panic inside the package is not an Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise refusal(source, at, "This text has an escape that does not exist.") from None
    if not isinstance(value, str | bytes):
        raise refusal(source, at, "This text cannot be read.")
    return value
