"""The egress guard: decide which URLs a workflow may call, and at which addresses.

A name is resolved once and each of its addresses is checked against an explicit list; the caller connects to one of
those addresses only, so a later, different response of the name server has no effect (DNS rebinding).
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

import threads
from workers.gateways.base import CallFailed

Resolver = Callable[[str, int], list[str]]

MAX_URL = 8192  # characters
KEPT_HOSTS = 1024  # entries of each cache of parsed hosts and checked addresses
MAX_LOOKUPS = 64  # name server questions in flight per process
DEFAULT_PORTS = {"http": 80, "https": 443}

# `ipaddress.is_global` admits NAT64, 6to4 and some others, hence this explicit list.
DENIED = tuple(
    (ipaddress.ip_network(network), kind)
    for kind, networks in {
        "an unspecified": "0.0.0.0/8 ::/128",
        "a loopback": "127.0.0.0/8 ::1/128",
        "a private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
        "a cloud metadata": "168.63.129.16/32 169.254.169.254/32 169.254.170.2/32 100.100.100.200/32",
        "a link-local": "169.254.0.0/16 fe80::/10",
        "a carrier-internal": "100.64.0.0/10",
        "a multicast": "224.0.0.0/4 ff00::/8",
        "a broadcast": "255.255.255.255/32",
        "a documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        "a benchmarking": "198.18.0.0/15 2001:2::/48",
        "a Teredo": "2001::/32",
        "a 6to4": "192.88.99.0/24 2002::/16",
        "a NAT64": "64:ff9b::/96 64:ff9b:1::/48",
        "an IPv4-mapped": "::ffff:0:0/96 ::ffff:0:0:0/96",
        "an IPv4-compatible": "::/96",
        "a reserved": (
            "192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 240.0.0.0/4 "
            "2001::/23 2620:4f:8000::/48 ::/3 4000::/2 8000::/1"  # what is left of IPv6 outside of 2000::/3
        ),
    }.items()
    for network in networks.split()
)

# Mail servers, shells and databases may take a crafted HTTP request for commands. Allow-listed hosts are exempt.
# fmt: off
DENIED_PORTS = frozenset((
    0, 7, 9, 13, 19, 20, 21, 22, 23, 25, 53, 69, 110, 111, 119, 123, 135, 137, 138, 139, 143, 161, 179, 389, 445, 465,
    514, 515, 587, 631, 636, 873, 993, 995, 1433, 1521, 2049, 2375, 2376, 2379, 3306, 3389, 5432, 5672, 6379, 6667,
    9200, 11211, 27017,
))
# fmt: on

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_SAFE = "!$&'()*+,;=:@/?%~-._[]"


@dataclass(frozen=True)
class Url:
    """The parts of a URL that a request is made of; `target` is path and query, ready for the request line."""

    scheme: str
    host: str  # lower case, no trailing dot, IPv6 without brackets
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header; it names the port unless that is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True)
class Destination:
    """A URL and the checked addresses at which it may be called."""

    url: Url
    addresses: tuple[str, ...]


def invalid(sentence: str) -> CallFailed:
    """The error for a malformed request; a retry would fail in the same way."""
    return CallFailed("invalid_request", sentence, sent=False)


def refused(sentence: str) -> CallFailed:
    """The error for a well-formed request that the guard does not allow."""
    return CallFailed("egress_refused", sentence, sent=False)


def parse_url(text: str) -> Url:
    """Parse a URL; raises `CallFailed` with code `invalid_request` or `egress_refused`."""
    if len(text) > MAX_URL or _UNPRINTABLE.search(text):
        raise invalid(f"The URL is longer than {MAX_URL} characters, or contains control characters or backslashes.")
    try:
        parts = urlsplit(text.strip(" "))
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        raise invalid("The URL cannot be read: its host or its port is malformed.") from None
    if scheme not in DEFAULT_PORTS:
        raise refused("Only http:// and https:// URLs may be called.")
    if "@" in parts.netloc:
        raise refused("A URL may not carry a user name or a password; use an Authorization header.")
    path = _STRAY_PERCENT.sub("%25", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    target = quote(path, safe=_PATH_SAFE, errors="replace")
    return Url(scheme, normal_host(host), DEFAULT_PORTS[scheme] if port is None else port, target)


@lru_cache(maxsize=KEPT_HOSTS)
def normal_host(host: str) -> str:
    """Normalise a host name or literal address; raises `CallFailed` with code `invalid_request`."""
    try:
        return ipaddress.ip_address(host).compressed.lower() if "%" not in host else _bad_host()
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        _bad_host()
    return name if _NAME.fullmatch(name) and len(name) <= 253 else _bad_host()


def _bad_host() -> str:
    raise invalid("The URL's host is not a host name or an address.")


def system_resolver(host: str, port: int) -> list[str]:
    """Resolve a name with the operating system; numeric addresses need no lookup. Raises `OSError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class EgressGuard:
    """Checks URLs and their addresses. `allow` names private hosts (`host` or `host:port`) that may be called."""

    def __init__(self, allow: Iterable[str] = (), *, resolver: Resolver = system_resolver) -> None:
        self._allow = frozenset(_allowed(entry) for entry in allow)
        self._resolver = resolver

    async def admit(self, url: Url) -> Destination:
        """Resolve the URL's host once and check each address; raises `CallFailed` (`egress_refused`)."""
        opened = (url.host, None) in self._allow or (url.host, url.port) in self._allow
        if not opened and url.port in DENIED_PORTS:
            raise refused(f"Port {url.port} is not one that HTTP APIs may be called at.")
        addresses = await resolve(url, self._resolver)
        if not opened:
            for address in addresses:
                if kind := denied(address):
                    raise refused(f"{url.host} is at {kind} address, and only public addresses may be called.")
        return Destination(url, addresses)


@lru_cache(maxsize=KEPT_HOSTS)
def denied(address: str) -> str | None:
    """The kind of a denied address, with its article (`a loopback`); None for a public one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # no address, or one with a zone
        return "a malformed"
    return next((kind for network, kind in DENIED if found.version == network.version and found in network), None)


async def resolve(url: Url, resolver: Resolver) -> tuple[str, ...]:
    """Resolve the host; a name server that hangs blocks a helper thread, not the call and not the event loop."""
    if _is_literal(url.host):
        return (url.host,)
    await _lookups.acquire()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str] | Exception] = loop.create_future()

    def take(found: list[str] | Exception) -> None:
        _lookups.release()
        if not answer.done():  # the call may have ended meanwhile
            answer.set_result(found)

    def ask() -> None:
        try:
            found: list[str] | Exception = resolver(url.host, url.port)
        except Exception as error:
            found = error
        loop.call_soon_threadsafe(take, found)

    try:
        threads.run_once("lookup", ask)
    except RuntimeError as error:  # no room for a thread
        _lookups.release()
        raise CallFailed("dns_failed", "No more names can be looked up now; try again.", retryable=True) from error
    return _addresses(url, await answer)


@lru_cache(maxsize=KEPT_HOSTS)
def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(url: Url, found: list[str] | Exception) -> tuple[str, ...]:
    if isinstance(found, Exception):
        unknown = isinstance(found, socket.gaierror) and found.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
        raise CallFailed("dns_failed", f"The name {url.host} cannot be resolved.", retryable=not unknown)
    if not found:
        raise CallFailed("dns_failed", f"The name {url.host} has no address.")
    return tuple(found)


def _allowed(entry: str) -> tuple[str, int | None]:
    """Parse an entry of the allow-list into (host, port or None); raises `ValueError`."""
    try:
        return ipaddress.ip_address(entry.strip("[]")).compressed.lower(), None
    except ValueError:
        pass
    try:
        parts = urlsplit(f"//{entry}")
        if not parts.hostname or parts.path or "@" in entry:
            raise ValueError(entry)
        return normal_host(parts.hostname), parts.port
    except (ValueError, CallFailed):
        raise ValueError(f"EGRESS_ALLOW: {entry!r} is neither host nor host:port") from None


_lookups = asyncio.Semaphore(MAX_LOOKUPS)
