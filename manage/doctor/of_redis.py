"""Checks of Redis and the broker."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from manage.doctor.of_database import skew
from manage.doctor.results import CheckResult, ok, wrong
from settings import Settings
from tasks.probes.broker import BrokerProbe
from tasks.redis_client import connect, is_redis, reason_of

SECONDS = 3


def servers(settings: Settings) -> Iterator[CheckResult]:
    """Every Redis that the settings name answers, keeps its data and evicts nothing; another broker answers."""
    addresses = {settings.redis_url: "redis", settings.broker_url: "broker", settings.limiter_url: "limiter"}
    if settings.broker_url == settings.redis_url:
        addresses[settings.redis_url] = "redis"
    for url, name in addresses.items():
        if url and is_redis(url):
            yield from _redis(name, url, keeps=name != "limiter")
    if settings.broker_url and not is_redis(settings.broker_url):
        is_up = BrokerProbe(settings.redis_url or settings.broker_url, settings.broker_url).is_up()
        mend = "Start it, and check BROKER_URL: its host, user, password and TLS_CA_FILE."
        yield ok("broker", "It answers.") if is_up else wrong("broker", "It does not answer.", mend)


def _redis(name: str, url: str, *, keeps: bool) -> Iterator[CheckResult]:
    try:
        with connect(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            found: Any = client.info()
            asked_at = time.time()
            moment: Any = client.time()
            snapshots = _snapshots(client)
    except (redis.RedisError, OSError) as error:
        variable = {"redis": "REDIS_URL", "broker": "BROKER_URL"}.get(name, "LIMITER_URL")
        mend = f"Start it, and check {variable}: its host, password and TLS_CA_FILE."
        yield wrong(name, f"Redis does not answer ({reason_of(error)}).", mend)
        return
    yield ok(name, f"Redis {found['redis_version']} answers.")
    yield skew(f"Redis ({name})", moment[0] + moment[1] / 1e6 - (asked_at + time.time()) / 2)
    if keeps:
        yield _persistence(found, snapshots)
    if found.get("maxmemory_policy", "noeviction") != "noeviction":
        said = f"Redis removes keys when memory is short ({found['maxmemory_policy']}): messages would be lost."
        yield wrong("persistence", said, "Set maxmemory-policy noeviction.")


def _snapshots(client: redis.Redis) -> str | None:
    """The setting `save`; None where CONFIG is forbidden."""
    try:
        found: Any = client.config_get("save")  # typed as if it might be asynchronous
        return str(found.get("save", ""))
    except redis.ResponseError:
        return None


def _persistence(found: Mapping[str, Any], snapshots: str | None) -> CheckResult:
    if found.get("aof_enabled"):
        if found.get("aof_last_write_status", "ok") != "ok":
            return wrong("persistence", "Redis cannot write its append-only file.", "Look at its log and its disk.")
        return ok("persistence", "Redis writes an append-only file.")
    if snapshots == "":
        said = "Redis keeps nothing: without it, a restart delays queued work until the sweep finds it."
        return wrong("persistence", said, "Set `appendonly yes`, or at least `save 900 1`.")
    if found.get("rdb_last_bgsave_status", "ok") != "ok":
        return wrong("persistence", "The last snapshot of Redis failed.", "Look at its log and its disk.")
    return ok("persistence", "Redis writes snapshots.")
