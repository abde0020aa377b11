"""What requests will read is read ahead, once for all that begin together: who asks, their limits and their runs.

Clients that poll make most requests, and each of these is four short reads whose round trips cost more than all the
rest. Only a credential that this process verified before counts, and its session is checked each time; what is read
stands under keys that name the credential, the user and the run (`api.http.foreseen`), so a request finds only what it
would have read itself. If reading ahead fails, each request reads by itself.
"""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from flask import Flask

from api.auth.tokens import verified_before
from api.http.foreseen import FORESEEN
from api.limits import rate_limits
from api.live.run_heads import Extent, RunHead, read_ahead
from api.serving.environ import Environ
from models.raw_statement import reading_scope
from models.services.accounts import sessions
from models.services.accounts.sessions import AccessToken
from models.services.executions.snapshots import OwnedRun
from models.tables import User

log = structlog.get_logger(__name__)

_RUN = re.compile(r"(?:/[^/]+)*/executions/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/events)?")


class ForeseenRead(NamedTuple):
    """A request that reads a run, before it begins."""

    environ: Environ
    token: AccessToken
    run: OwnedRun
    extent: Extent | None  # None if the run is read only after something else

    @property
    def answers(self) -> dict[Hashable, Any]:
        """What was read for it, by key."""
        answers: dict[Hashable, Any] = self.environ.setdefault(FORESEEN, {})
        return answers


def foresee(app: Flask, environ: Environ) -> ForeseenRead | None:
    """What the request will read; None for any other than a read of a run by a known caller."""
    if environ["REQUEST_METHOD"] != "GET" or (found := _RUN.fullmatch(environ["PATH_INFO"])) is None:
        return None
    token = verified_before(app, environ)
    if token is None:
        return None
    extent: Extent | None = Extent.STATUS if "HTTP_IF_NONE_MATCH" in environ else Extent.DOCUMENT
    if found[2]:
        extent = Extent.RUN
    elif "wait=" in environ["QUERY_STRING"]:
        extent = None  # the client subscribes to changes first
    return ForeseenRead(environ, token, OwnedRun(token.user_id, UUID(found[1])), extent)


def read_together(requests: Sequence[ForeseenRead]) -> list[bool]:
    """Read ahead, into the environments of the requests; returns for each whether to run it with the others."""
    try:
        heads = _read(_count(_authenticate(requests)))
    except Exception as error:
        log.warning("foresight.failed", error=type(error).__name__, requests=len(requests))
        return [False] * len(requests)  # where each waits for itself
    return [one.run not in heads or not heads[one.run].is_large for one in requests]


def _authenticate(requests: Sequence[ForeseenRead]) -> list[tuple[ForeseenRead, User]]:
    """The requests whose sessions are valid, and who sent them."""
    with reading_scope() as session:
        found = sessions.authenticate_many(session, {one.token for one in requests})
    known = [one for one in requests if one.token in found]
    for one in known:
        one.answers[one.token] = found[one.token]
    return [(one, found[one.token].user) for one in known]


def _count(known: Sequence[tuple[ForeseenRead, User]]) -> list[ForeseenRead]:
    """Count the requests; returns those that are within the limits of their users."""
    counts = rate_limits.count_ahead([user for _, user in known])
    for (one, _), (key, counted) in zip(known, counts, strict=True):
        one.answers[key] = counted
    return [one for (one, _), (_, counted) in zip(known, counts, strict=True) if counted and counted.remaining >= 0]


def _read(requests: Iterable[ForeseenRead]) -> Mapping[OwnedRun, RunHead]:
    """Read the runs, each as far as one of the requests needs it."""
    wanted: dict[OwnedRun, Extent] = {}
    reading = [(one, one.extent) for one in requests if one.extent is not None]
    for one, extent in reading:
        wanted[one.run] = max(extent, wanted.get(one.run, extent))
    heads = read_ahead(wanted)
    for one, _ in reading:
        one.answers[one.run] = heads.get(one.run)
    return heads
