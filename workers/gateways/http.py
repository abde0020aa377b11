"""Performs the HTTP requests of workflows: through the egress guard, redirects by hand, one time limit over all of it.

A workflow's author decides about URL, headers and body, so nothing of them is trusted; nothing that we raise repeats a
request header.
"""

import re
from collections.abc import Mapping
from urllib.parse import urljoin

from models.rules.effects import HttpAnswer, HttpCall
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.content import body_of, excerpt, is_secret, retry_after
from workers.gateways.egress import EgressGuard, Resolver, Url, invalid, parse_url, refused, system_resolver
from workers.gateways.watch import Watch
from workers.gateways.wire import HttpPool, Reply, Request

USER_AGENT = "AgentForge/1.0"
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
MAX_REDIRECTS = 5
MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 1024  # names and values together
MAX_BODY = 8 * 1024 * 1024  # bytes that we send
RETRYABLE = frozenset([408, 425, 429, 500, 502, 503, 504])

# They say how the message is framed or who is asked: ours to set, or a way to smuggle a second request.
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

    def perform(self, call: HttpCall, *, cancel: Cancel, idempotency_key: str | None = None) -> HttpAnswer:
        """The answer with a status below 400; everything else raises `CallFailed`. Blocks up to `call.timeout`."""
        url = parse_url(call.url)
        request = _request(call, idempotency_key)
        with Watch(cancel, call.timeout) as watch:
            reply = self._follow(url, request, watch)
        if reply.status >= 400:
            raise _refusal(reply, [value for name, value in request.headers.items() if is_secret(name)])
        return HttpAnswer(reply.status, reply.headers, body_of(reply))

    def _follow(self, url: Url, request: Request, watch: Watch) -> Reply:
        """Send, and go where the answer points, through the guard each time."""
        for _ in range(MAX_REDIRECTS + 1):
            destination = self._guard.admit(url, cancel=watch.cancel, deadline=watch.deadline)
            watch.check()
            sent = Request(request.method, {"Host": url.authority, **request.headers}, request.body)
            reply = self._pool.exchange(destination, sent, watch)
            location = reply.headers.get("location")
            if reply.status not in (301, 302, 303, 307, 308) or not location:
                return reply
            url, request = _redirected(url, location, request, reply.status)
        raise CallFailed("too_many_redirects", f"{url.authority} redirected more than {MAX_REDIRECTS} times.")


def _request(call: HttpCall, idempotency_key: str | None) -> Request:
    """The request as it is sent, without its Host; raises `CallFailed` with code `invalid_request`."""
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
    """The user's headers, checked; values go out as UTF-8."""
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
    """Where a redirect leads and what is sent there, as browsers do it."""
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
    """Whether secrets for one may go to the other: the same host and port, or its plain upgrade to https."""
    upgrade = (one.scheme, one.port, other.scheme, other.port) == ("http", 80, "https", 443)
    return one.host == other.host and (upgrade or (one.scheme, one.port) == (other.scheme, other.port))


def _refusal(reply: Reply, secrets: list[str]) -> CallFailed:
    """A status of 400 or more as our error."""
    said = excerpt(reply, secrets)
    return CallFailed(
        f"http_{reply.status}",
        f"The server answered {reply.status}{': ' + said if said else '.'}",
        retryable=reply.status in RETRYABLE,
        retry_after=retry_after(reply.headers),
    )
