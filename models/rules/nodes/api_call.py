"""`api_call`: a call of an HTTP API at a public address."""

import json
import re
from collections.abc import Mapping

from models.errors import ExpressionFailed
from models.rules.graph.effects import Done, HttpCall, HttpResponse
from models.rules.graph.graph import Retry
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind
from models.rules.graph.privacy import looks_secret
from models.rules.values.json_values import value_text
from models.serialization import Json

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_TIMEOUT = 30.0  # seconds
MAX_URL = 8_000  # characters
_UNFIT = re.compile(r"[\s\x00-\x1f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def begin(call: NodeCall) -> HttpCall:
    """The request; raises `ExpressionFailed` if its address or a header is invalid."""
    config = call.config
    url = str(config["url"]).strip()
    if not url.lower().startswith(("http://", "https://")):
        raise ExpressionFailed(f"`url` must begin with http:// or https://, not with `{url[:40]}`.")
    if len(url) > MAX_URL or _UNFIT.search(url):
        raise ExpressionFailed("`url` is too long or contains spaces; use {{ urlEncode(x) }} for values in it.")
    headers = _headers(config.get("headers", {}))
    body, content_type = _body(config.get("body"))
    if body is not None and content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    given = (config.get("timeout"), call.node.timeout)
    timeout = min((float(seconds) for seconds in given if seconds is not None), default=DEFAULT_TIMEOUT)
    return HttpCall(config.get("method", "GET"), url, headers, body, timeout)


def _headers(given: Mapping[str, Json]) -> dict[str, str]:
    headers = {}
    for name, value in given.items():
        if value is None:
            continue
        text = _header_text(name, value)
        if not _TOKEN.fullmatch(name):
            raise ExpressionFailed(f"`{name[:60]}` is not a valid name of a header.")
        if any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in text):
            raise ExpressionFailed(f"The header `{name[:60]}` contains a line break or a control character.")
        headers[name] = text
    return headers


def _header_text(name: str, value: Json) -> str:
    """The value of a header; the items of a list are separated by commas, as in HTTP."""
    items = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(item, Mapping | list | tuple) for item in items):
        raise ExpressionFailed(f"The header `{name[:60]}` must be a text, a number, true or false, or a list of them.")
    return ", ".join(value_text(item) for item in items if item is not None)


def _body(given: Json) -> tuple[bytes | None, str]:
    """The encoded body and its content type: a text unchanged, everything else as JSON."""
    if given is None:
        return None, ""
    if isinstance(given, str):
        return given.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    try:
        return json.dumps(given, ensure_ascii=False).encode("utf-8", "replace"), "application/json"
    except (TypeError, ValueError, RecursionError):
        raise ExpressionFailed("The body cannot be written as JSON.") from None


def finish(call: NodeCall, response: HttpResponse) -> Done:
    """Status, headers and body of the response."""
    return Done({"status": response.status, "headers": dict(response.headers), "body": response.body})


def retry(config: Config) -> Retry:
    """The `retries` of the config; by default two, but none for methods that are not idempotent."""
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
            sentence = "This looks like a secret; everyone who may read the workflow can read it."
            found.append(("warning", f"headers.{name}", sentence))
    return tuple(found)


KIND = NodeKind(
    type="api_call",
    title="API call",
    help="Sends an HTTP request to a public address.",
    result="`status`, `headers` and `body` of the response.",
    fields=(
        Field("method", "choice", choices=METHODS, title="Method", default="GET"),
        Field(
            "url",
            "text",
            required=True,
            nulls=False,
            title="Address",
            help="Begins with http:// or https://. Write values in it as {{ urlEncode(x) }}.",
            format="uri",
            examples=("https://api.example.com/orders/{{ urlEncode(data.id) }}",),
        ),
        Field(
            "headers",
            "object",
            nulls=False,
            title="Headers",
            help="A header that is null is not sent. Keep secrets out of workflows that others may read.",
            examples=({"Accept": "application/json"},),
        ),
        Field(
            "body",
            "value",
            title="Body",
            help="A text is sent as it is, anything else as JSON; null sends none.",
            examples=({"question": "{{ data.text }}"},),
        ),
        Field(
            "timeout",
            "number",
            low=0.1,
            high=3600,
            title="Timeout",
            help="Of one attempt. The shorter one counts if the node has a timeout too.",
            unit="seconds",
            default=DEFAULT_TIMEOUT,
        ),
        Field(
            "retries",
            "number",
            low=0,
            high=9,
            whole=True,
            title="Retries",
            help="Further attempts after a failure: two, or none for POST and PATCH, unless given.",
        ),
    ),
    begin=begin,
    finish=finish,
    findings=_findings,
    retry_by=retry,
    repeats=True,
)
