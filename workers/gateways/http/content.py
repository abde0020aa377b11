"""Read responses: the body as JSON, text or base64, an excerpt for errors, and Retry-After."""

import base64
import codecs
import re
import time
from collections.abc import Iterable, Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from models.rules.values.json_values import clean_text, read_json
from workers.gateways.http.connections import Reply

MAX_DEPTH = 64  # of JSON; deeper bodies stay text
MAX_RETRY_AFTER = 3600.0  # seconds
EXCERPT = 200  # characters

# Some Python codecs are no charsets and some take quadratic time, so only the charsets of the web are allowed.
_CHARSETS = re.compile(r"utf-(8|16|32)|ascii|iso8859|cp\d|koi8|mac-|gb|big5|euc|shift|iso2022|hz|tis|johab|ptcp")
_TEXTUAL = re.compile(r"text/|.*[/+](json|xml|yaml|csv|x-ndjson|javascript|x-www-form-urlencoded|graphql)$")
_JSON = re.compile(r"(application|text)/([\w.-]+\+)?json$")
_SECRET_NAME = re.compile(r"auth|cookie|key|token|secret|passw|session|signature|credential", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a header of this name holds a secret that only its own host may see."""
    return bool(_SECRET_NAME.search(name)) and name.lower() != "idempotency-key"


def body_of(reply: Reply) -> Any:
    """The body as a JSON value: parsed JSON, text, or `{contentType, size, base64}` for binary content.

    JSON that is invalid, deeper than 64 levels or contains NaN stays text; an empty JSON body is None. `json_values`
    converts whole numbers past 2^53 and characters that the database cannot store.
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
    return clean_text(text)


_UNREADABLE = object()


def parse_json(body: bytes) -> Any:
    """The parsed value, or a sentinel for which `is_readable` is false; `json_values` replaces lone surrogates."""
    try:
        value = read_json(body.removeprefix(codecs.BOM_UTF8))
    except ValueError:
        return _UNREADABLE
    return _UNREADABLE if _depth_bound(body) > MAX_DEPTH and _is_too_deep(value) else value


def is_readable(parsed: Any) -> bool:
    """Whether `parse_json` returned a value."""
    return parsed is not _UNREADABLE


def _depth_bound(body: bytes) -> int:
    """An upper bound of the nesting depth; cheap, and almost always enough to skip the exact check."""
    return body.count(b"[") + body.count(b"{")


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        holders = [item for item in level if isinstance(item, dict | list)]
        level = [inner for holder in holders for inner in (holder.values() if isinstance(holder, dict) else holder)]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def _content_type(headers: Mapping[str, str]) -> tuple[str, str | None]:
    return _read_type(headers.get("content-type", ""))


@lru_cache(maxsize=256)
def _read_type(header: str) -> tuple[str, str | None]:
    message = Message()
    message["content-type"] = re.sub(r"[\r\n]", " ", header)
    return message.get_content_type() if header else "", message.get_content_charset()


def _text(body: bytes, charset: str | None, *, lenient: bool) -> str | None:
    """Decode the body; None when `lenient` is false and the bytes are not valid in the charset."""
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
    """The beginning of the body in one line, with the request's secrets removed; may be empty."""
    kind, charset = _content_type(reply.headers)
    text = _text(reply.body[: 64 * EXCERPT], charset, lenient=not kind or bool(_TEXTUAL.match(kind))) or ""
    return redact(" ".join("".join(c if c.isprintable() else " " for c in text).split()), secrets)[:EXCERPT]


def redact(text: str, secrets: Iterable[str]) -> str:
    """Remove secrets from a text, also the parts of them that follow a scheme's name such as Bearer."""
    parts = {part for secret in secrets for part in (secret, *secret.split()) if len(part) >= 6}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "[removed]")
    return text


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The response's Retry-After in seconds, given as a number or a date, clamped to 0 to 3600; None without one."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value) if re.fullmatch(r"\d{1,9}(\.\d+)?", value) else _until(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
