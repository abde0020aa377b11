"""Parses addresses of Redis and of the broker, with the same meaning for every library that connects.

redis://:password@host:6379/0
rediss://...                                            with TLS; the certificate is verified
sentinel://:password@host1:26379,host2:26379/0?master=mymaster
sentinels://...                                         the same with TLS, to the sentinels too
amqp://user:password@host:5672/vhost, amqps://...       for the broker alone
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

import redis
from redis.sentinel import Sentinel

from variables import REDIS_SCHEMES, WITH_TLS

_SENTINEL_PORT, _SENTINEL_MASTER = 26379, "mymaster"


@dataclass(frozen=True)
class CeleryBroker:
    """The settings of a broker for Celery and kombu."""

    url: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)  # of the transport
    tls: Mapping[str, Any] | None = None


def is_redis(url: str) -> bool:
    """Whether this is the address of a Redis, direct or behind sentinels."""
    return urlsplit(url).scheme in REDIS_SCHEMES


def connect(url: str, **options: Any) -> redis.Redis:
    """Return a client of the Redis at `url` that connects on first use; behind sentinels, to the current master."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("sentinel"):
        return redis.Redis.from_url(url, **options)
    query, tls = dict(parse_qsl(parts.query)), {"ssl": True, **_tls(parts)} if parts.scheme in WITH_TLS else {}
    reachable = {name: value for name, value in options.items() if name.startswith("socket_")} | tls
    sentinels = Sentinel(_hosts(parts), sentinel_kwargs=reachable | _sentinel_login(query))
    login = {"username": _unquoted(parts.username), "password": _unquoted(parts.password)}
    database = int(parts.path.strip("/") or 0)
    master: redis.Redis = sentinels.master_for(
        query.get("master", _SENTINEL_MASTER), db=database, **login, **options, **tls
    )
    return master


def celery_broker(url: str) -> CeleryBroker:
    """Return the address and options of the broker at `url` in the form that Celery takes."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(query=""))
    tls = _tls(parts) if parts.scheme in WITH_TLS else None
    if parts.scheme not in REDIS_SCHEMES:
        return CeleryBroker(bare, tls=_tls_of_amqp(parts.hostname, tls))
    if not parts.scheme.startswith("sentinel"):
        return CeleryBroker(bare if tls else url, tls=tls)
    query, login = dict(parse_qsl(parts.query)), parts.netloc.rpartition("@")[0]
    before = f"{login}@" if login else ""
    urls = [f"sentinel://{before}{host}:{port}{parts.path}" for host, port in _hosts(parts)]
    sentinel = {"ssl": True, **tls} if tls else {}
    options = {
        "master_name": query.get("master", _SENTINEL_MASTER),
        "sentinel_kwargs": {"socket_timeout": 5, "socket_connect_timeout": 5, **sentinel, **_sentinel_login(query)},
    }
    return CeleryBroker(";".join(urls), options, tls)


def reason_of(error: BaseException) -> str:
    """Say why a server is unreachable: the class of the error, or the fault of its certificate.

    The messages of other errors are left out, because some quote an address with its password.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _tls(parts: SplitResult) -> dict[str, Any]:
    """Options of TLS: certificates and names are verified, unless the address says `ssl_cert_reqs=none`."""
    query = dict(parse_qsl(parts.query))
    verifies = query.get("ssl_cert_reqs", "required") != "none"
    found: dict[str, Any] = {
        "ssl_cert_reqs": ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE,
        "ssl_check_hostname": verifies,
    }
    return found | {name: query[name] for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if name in query}


def _tls_of_amqp(host: str | None, tls: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Options of TLS under py-amqp's names; it verifies the certificate for `server_hostname`."""
    if tls is None:
        return None
    names = {
        "ssl_cert_reqs": "cert_reqs",
        "ssl_ca_certs": "ca_certs",
        "ssl_certfile": "certfile",
        "ssl_keyfile": "keyfile",
    }
    return {"server_hostname": host} | {name: tls[given] for given, name in names.items() if given in tls}


def _hosts(parts: SplitResult) -> list[tuple[str, int]]:
    found = []
    for one in parts.netloc.rpartition("@")[2].split(","):
        address = urlsplit(f"//{one}")
        found.append((address.hostname or "127.0.0.1", address.port or _SENTINEL_PORT))
    return found


def _sentinel_login(query: Mapping[str, str]) -> dict[str, str]:
    """Options for signing in to the sentinels, which may have a password of their own."""
    names = {"sentinel_username": "username", "sentinel_password": "password"}
    return {name: query[given] for given, name in names.items() if given in query}


def _unquoted(text: str | None) -> str | None:
    return unquote(text) if text else None
