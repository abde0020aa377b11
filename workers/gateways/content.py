"""Reads what answers say: JSON where there is JSON, text where there is text, and when to come back."""

import base64
import codecs
import re
import time
from collections.abc import Iterable, Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from workers.gateways.wire import Reply

MAX_DEPTH = 64  # of JSON; deeper answers stay text
MAX_RETRY_AFTER = 3600.0  # seconds
EXCERPT = 200  # characters

# Python knows codecs that are no charsets, and some that need quadratic time; these are the ones of the web.
_CHARSETS = re.compile(r"utf-(8|16|32)|ascii|iso8859|cp\d|koi8|mac-|gb|big5|euc|shift|iso2022|hz|tis|johab|ptcp")
_TEXTUAL = re.compile(r"text/|.*[/+](json|xml|yaml|csv|x-ndjson|javascript|x-www-form-urlencoded|graphql)$")
_JSON = re.compile(r"(application|text)/([\w.-]+\+)?json$")
_SECRET_NAME = re.compile(r"auth|cookie|key|token|secret|passw|session|signature|credential", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a header of this name carries something that only its own host may see."""
    return bool(_SECRET_NAME.search(name)) and name.lower() != "idempotency-key"


def body_of(reply: Reply) -> Any:
    """The body as a JSON value: parsed JSON, text, or `{contentType, size, base64}` for what is neither.

    JSON that is invalid, deeper than 64 levels or has NaN in it stays text; an empty JSON body is None. NUL characters,
    which the database cannot keep, become U+FFFD.
    """
    kind, charset = _content_type(reply.headers)
    if _JSON.match(kind):
        if not reply.body.strip():
            return None
        parsed = parse_json(reply.body)
        if parsed is not _UNREADABLE:
            return parsed
    text = _text(reply.body, charset, lenient=not kind or bool(_TEXTUAL.match(kind)) or bool(charset))
    if text is None:
        return {"contentType": kind, "size": len(reply.body), "base64": base64.b64encode(reply.body).decode()}
    return text.replace("\x00", "\ufffd")


_UNREADABLE = object()


def parse_json(body: bytes) -> Any:
    """The parsed value, or a sentinel that `is_readable` refuses."""
    try:
        value = orjson.loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:
        return _UNREADABLE
    nul = b"\\u0000" in body
    return _checked(value, nul) if nul or _depth_bound(body) > MAX_DEPTH else value


def is_readable(parsed: Any) -> bool:
    """Whether `parse_json` could read it."""
    return parsed is not _UNREADABLE


def _depth_bound(body: bytes) -> int:
    """No less than the nesting of the JSON; cheap, and almost always enough to skip a look at every value."""
    return body.count(b"[") + body.count(b"{")


def _checked(value: Any, nul: bool, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        return _UNREADABLE
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd") if nul else value
    if isinstance(value, list):
        items = [_checked(item, nul, depth + 1) for item in value]
        return _UNREADABLE if any(item is _UNREADABLE for item in items) else items
    if isinstance(value, dict):
        members = {_checked(name, nul): _checked(item, nul, depth + 1) for name, item in value.items()}
        return _UNREADABLE if any(item is _UNREADABLE for item in members.values()) else members
    return value


def _content_type(headers: Mapping[str, str]) -> tuple[str, str | None]:
    message = Message()
    message["content-type"] = re.sub(r"[\r\n]", " ", headers.get("content-type", ""))
    return message.get_content_type() if headers.get("content-type") else "", message.get_content_charset()


def _text(body: bytes, charset: str | None, *, lenient: bool) -> str | None:
    """The body as text; None when it is not lenient and the bytes are not UTF-8."""
    codec = "utf-8"
    try:
        named = codecs.lookup(charset or "utf-8").name
        codec = named if _CHARSETS.match(named) else codec
    except LookupError:
        pass
    try:
        return body.decode(codec, "replace" if lenient else "strict")
    except UnicodeDecodeError:
        return None


def excerpt(reply: Reply, secrets: Iterable[str]) -> str:
    """The beginning of the body in one line, with every secret that the request carried taken out; may be empty."""
    kind, charset = _content_type(reply.headers)
    text = _text(reply.body[: 64 * EXCERPT], charset, lenient=not kind or bool(_TEXTUAL.match(kind))) or ""
    return redact(" ".join("".join(c if c.isprintable() else " " for c in text).split()), secrets)[:EXCERPT]


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, nor the parts of them that stand behind a scheme's name such as Bearer."""
    parts = {part for secret in secrets for part in (secret, *secret.split()) if len(part) >= 6}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "[removed]")
    return text


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait that the answer asks for, as a number or a date, between 0 and an hour; None if it does not."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value) if re.fullmatch(r"\d{1,9}(\.\d+)?", value) else _until(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
