"""Perform the HTTP requests of workflows through the egress guard, with one time limit over all redirects.

The workflow's author chooses URL, headers and body, so none of them is trusted; no error repeats a request header.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urljoin

from models.rules.graph.effects import HttpCall, HttpResponse
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.call_limits import CallLimits
from workers.gateways.http.connections import Reply
from workers.gateways.http.content import body_of, excerpt, is_secret, retry_after
from workers.gateways.http.egress import EgressGuard, Resolver, Url, invalid, parse_url, refused, system_resolver
from workers.gateways.http.event_loop import event_loop
from workers.gateways.http.pool import HttpPool, Request

OnEnd = Callable[[HttpResponse | Exception], None]

USER_AGENT = "AgentForge/1.0"
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
MAX_REDIRECTS = 5
MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 1024  # names and values together
MAX_BODY = 8 * 1024 * 1024  # bytes that we send
RETRYABLE = frozenset([408, 425, 429, 500, 502, 503, 504])

# These headers frame the message or name the host; a user who sets them could smuggle in a second request.
FORBIDDEN = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect")
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_BREAKING = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class HttpGateway:
    """Calls public HTTP APIs. `allow` opens private hosts (`host` or `host:port`); safe to use from many threads."""

    def __init__(
        self, allow: tuple[str, ...] = (), *, pool: HttpPool | None = None, resolver: Resolver = system_resolver
    ) -> None:
        self._guard = EgressGuard(allow, resolver=resolver)
        self._pool = pool or HttpPool()

    def start(self, call: HttpCall, on_end: OnEnd, *, cancel: Cancel, idempotency_key: str | None = None) -> None:
        """Begin a call without blocking; `on_end` gets its result in the event loop's thread."""

        async def perform() -> None:
            try:
                result: HttpResponse | Exception = await self._perform(call, cancel, idempotency_key)
            except Exception as error:
                result = error
            on_end(result)

        event_loop().start(perform())

    def perform(self, call: HttpCall, *, cancel: Cancel, idempotency_key: str | None = None) -> HttpResponse:
        """Return a response with a status below 400, else raise `CallFailed`; blocks up to `call.timeout` seconds."""
        return event_loop().wait(self._perform(call, cancel, idempotency_key))

    async def _perform(self, call: HttpCall, cancel: Cancel, idempotency_key: str | None) -> HttpResponse:
        url = parse_url(call.url)
        request = _request(call, idempotency_key)
        limits = CallLimits(cancel, call.timeout)
        reply = await limits.hold(partial(self._follow, url, request, limits))
        if reply.status >= 400:
            raise _refusal(reply, [value for name, value in request.headers.items() if is_secret(name)])
        return HttpResponse(reply.status, reply.headers, body_of(reply))

    async def _follow(self, url: Url, request: Request, limits: CallLimits) -> Reply:
        """Send the request and follow redirects; the guard checks each target."""
        for _ in range(MAX_REDIRECTS + 1):
            destination = await self._guard.admit(url)
            sent = Request(request.method, {"Host": url.authority, **request.headers}, request.body)
            reply = await self._pool.exchange(destination, sent, limits)
            location = reply.headers.get("location")
            if reply.status not in (301, 302, 303, 307, 308) or not location:
                return reply
            url, request = _redirected(url, location, request, reply.status)
        raise CallFailed("too_many_redirects", f"{url.authority} redirected more than {MAX_REDIRECTS} times.")


def _request(call: HttpCall, idempotency_key: str | None) -> Request:
    """Build the request without its Host header; raises `CallFailed` with code `invalid_request`."""
    method = call.method.upper()
    if method not in METHODS:
        raise invalid(f"The method must be one of {', '.join(sorted(METHODS))}.")
    if call.body is not None and len(call.body) > MAX_BODY:
        raise invalid(f"The request's body is larger than {MAX_BODY // 1024 // 1024} MiB.")
    headers = _headers(call.headers)
    given = {name.lower() for name in headers}
    defaults = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
    if idempotency_key and method not in ("GET", "HEAD"):
        defaults["Idempotency-Key"] = idempotency_key
    return Request(method, headers | {n: v for n, v in defaults.items() if n.lower() not in given}, call.body)


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Check the user's headers and encode their values as UTF-8."""
    if len(headers) > MAX_HEADERS or sum(len(n) + len(str(v).encode()) for n, v in headers.items()) > MAX_HEADER_BYTES:
        raise invalid(f"A request may have {MAX_HEADERS} headers of {MAX_HEADER_BYTES // 1024} KiB together.")
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not _TOKEN.fullmatch(name):
            raise invalid("A header's name has characters that are not allowed in it.")
        if lower in FORBIDDEN or lower.startswith("proxy-") or lower in {other.lower() for other in checked}:
            raise invalid(f"The header {name} cannot be set, or is set twice.")
        if _BREAKING.search(value):
            raise invalid(f"The value of the header {name} has a line break or another control character in it.")
        checked[name] = value.strip().encode("utf-8", "replace").decode("latin-1")
    return checked


def _redirected(url: Url, location: str, request: Request, status: int) -> tuple[Url, Request]:
    """The target of a redirect and the request to send there, by the rules of browsers (fetch standard)."""
    pointed = location.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        target = parse_url(urljoin(str(url), pointed))
    except ValueError:
        raise CallFailed("bad_response", f"{url.authority} redirects to something that is not a URL.") from None
    if url.scheme == "https" and target.scheme == "http":
        raise refused(f"{url.authority} redirects from https to http, and the request would be readable on its way.")
    headers, method, body = dict(request.headers), request.method, request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = {n: v for n, v in headers.items() if not n.lower().startswith("content-")}
        headers.pop("Idempotency-Key", None)
    if not _same_host(url, target):
        headers = {name: value for name, value in headers.items() if not is_secret(name)}
    return target, Request(method, headers, body)


def _same_host(one: Url, other: Url) -> bool:
    """Whether secrets for one may be sent to the other: the same host and port, or its upgrade from http to https."""
    upgrade = (one.scheme, one.port, other.scheme, other.port) == ("http", 80, "https", 443)
    return one.host == other.host and (upgrade or (one.scheme, one.port) == (other.scheme, other.port))


def _refusal(reply: Reply, secrets: list[str]) -> CallFailed:
    """The error for a status of 400 or more, with an excerpt of the body."""
    said = excerpt(reply, secrets)
    return CallFailed(
        f"http_{reply.status}",
        f"The server responded with {reply.status}{': ' + said if said else '.'}",
        retryable=reply.status in RETRYABLE,
        retry_after=retry_after(reply.headers),
    )
