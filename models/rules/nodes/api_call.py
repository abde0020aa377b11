"""`api_call`: one call of an HTTP API at a public address."""

import json
import re
from collections.abc import Mapping
from typing import Any

from models.rules.effects import Done, HttpAnswer, HttpCall
from models.rules.expressions import ExpressionFailed
from models.rules.graph import Retry
from models.rules.kinds import Config, Field, NodeCall, NodeKind
from models.rules.privacy import looks_secret
from models.rules.templates import value_text

Json = Any
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_TIMEOUT = 30.0  # seconds
MAX_URL = 8_000  # characters
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def begin(call: NodeCall) -> HttpCall:
    """The request; raises `ExpressionFailed` when its address or a header cannot be sent."""
    config = call.config
    url = str(config["url"]).strip()
    if not url.lower().startswith(("http://", "https://")):
        raise ExpressionFailed(f"`url` must begin with http:// or https://, not with `{url[:40]}`.")
    if len(url) > MAX_URL or any(character.isspace() or ord(character) < 32 for character in url):
        raise ExpressionFailed("`url` is too long, or holds spaces; write {{ urlEncode(x) }} for what is put into it.")
    headers = _headers(config.get("headers", {}))
    body, content_type = _body(config.get("body"))
    if body is not None and content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    timeout = config.get("timeout", DEFAULT_TIMEOUT)
    return HttpCall(config.get("method", "GET"), url, headers, body, float(timeout))


def _headers(given: Mapping[str, Json]) -> dict[str, str]:
    headers = {}
    for name, value in given.items():
        text = value_text(value)
        if not _TOKEN.fullmatch(name):
            raise ExpressionFailed(f"`{name[:60]}` is not a name for a header.")
        if any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in text):
            raise ExpressionFailed(f"The header `{name[:60]}` holds a line break or a control character.")
        headers[name] = text
    return headers


def _body(given: Json) -> tuple[bytes | None, str]:
    """Bytes to send and their content type: texts as they are, everything else as JSON."""
    if given is None:
        return None, ""
    if isinstance(given, str):
        return given.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    try:
        return json.dumps(given, ensure_ascii=False).encode("utf-8", "replace"), "application/json"
    except (TypeError, ValueError, RecursionError):
        raise ExpressionFailed("The body cannot be written as JSON.") from None


def finish(call: NodeCall, answer: HttpAnswer) -> Done:
    """Status, headers and body of the answer."""
    return Done({"status": answer.status, "headers": dict(answer.headers), "body": answer.body})


def retry(config: Config) -> Retry:
    """`retries` when given; otherwise twice, but never for methods whose repetition may change something."""
    given = config.get("retries")
    if given is None:
        given = 0 if config.get("method", "GET") in ("POST", "PATCH") else 2
    return Retry(max_attempts=1 + int(given))


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    found = []
    url, method = config.get("url"), str(config.get("method") or "GET").upper()
    if isinstance(url, str) and url and "{{" not in url and not url.strip().lower().startswith(("http://", "https://")):
        found.append(("error", "url", "`url` must begin with http:// or https://."))
    if method in BODYLESS and config.get("body") not in (None, ""):
        found.append(("warning", "body", f"A {method} request usually has no body."))
    headers = config.get("headers")
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if looks_secret(value):
            sentence = "This looks like a secret; everybody who may read the workflow can read it."
            found.append(("warning", f"headers.{name}", sentence))
    return tuple(found)


KIND = NodeKind(
    type="api_call",
    fields=(
        Field("method", "choice", choices=METHODS),
        Field("url", "text", required=True),
        Field("headers", "object"),
        Field("body", "value"),
        Field("timeout", "number", low=0.1, high=3600),
        Field("retries", "number", low=0, high=9, whole=True),
    ),
    begin=begin,
    finish=finish,
    findings=_findings,
    retry_by=retry,
    pure=False,
)
