"""What requests will read is read ahead, once for all that begin together: who asks, their limits and their runs.

Clients that poll make most requests, and each of these is four short reads whose round trips cost more than all the
rest. Only a credential that this process verified before counts, and it is checked each time; what is read
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
from api.limits.concurrency import ANONYMOUS, MACHINES
from api.live.run_heads import Extent, RunHead, read_ahead
from api.serving.environ import Environ
from models.raw_statement import reading_scope
from models.services.accounts import access_keys, sessions
from models.services.accounts.access_keys import AuthenticatedKey
from models.services.accounts.sessions import AccessToken, AuthenticatedSession
from models.services.executions.snapshots import OwnedRun
from models.tables import User

log = structlog.get_logger(__name__)

MAX_BYTES = 16 * 1024  # of the body of a submission; to parse a larger one takes longer
_SUBMIT = re.compile(r"(?:/[^/]+)*/workflows/[0-9a-f-]{36}/execute")
_RUN = re.compile(r"(?:/[^/]+)*/executions/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/events)?")


class ForeseenRequest(NamedTuple):
    """A request before it begins."""

    environ: Environ
    credential: AccessToken | bytes  # of an access key, the hash of its secret
    run: OwnedRun | None = None  # that is read at first
    extent: Extent = Extent.RUN

    @property
    def answers(self) -> dict[Hashable, Any]:
        """What was read for it, by key."""
        answers: dict[Hashable, Any] = self.environ.setdefault(FORESEEN, {})
        return answers


def foresee(app: Flask, environ: Environ, caller: str) -> ForeseenRequest | None:
    """What the request of `caller` will read; None unless it reads or submits a run for a user whom we know."""
    found = _RUN.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "GET" else None
    if caller in (ANONYMOUS, MACHINES) or not (found or _is_short_submission(environ)):
        return None
    credential = _key(environ) or verified_before(app, environ)
    if credential is None:
        return None
    if found is None:
        return ForeseenRequest(environ, credential)
    if "wait=" in environ["QUERY_STRING"]:  # the client subscribes to changes first
        return ForeseenRequest(environ, credential)
    extent = Extent.STATUS if "HTTP_IF_NONE_MATCH" in environ else Extent.DOCUMENT
    run = OwnedRun(UUID(caller), UUID(found[1]))
    return ForeseenRequest(environ, credential, run, Extent.RUN if found[2] else extent)


def _is_short_submission(environ: Environ) -> bool:
    """Whether it is a submission without a key, whose view waits for those of others (`api.jobs.submissions`)."""
    return (
        environ["REQUEST_METHOD"] == "POST"
        and "HTTP_IDEMPOTENCY_KEY" not in environ
        and int(environ.get("CONTENT_LENGTH") or 0) <= MAX_BYTES
        and _SUBMIT.fullmatch(environ["PATH_INFO"]) is not None
    )


def _key(environ: Environ) -> bytes | None:
    secret: str = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    return access_keys.hash_of(secret) if secret.startswith(access_keys.PREFIX) else None


def read_together(requests: Sequence[ForeseenRequest]) -> list[bool]:
    """Read ahead, into the environments of the requests; returns for each whether to run it with the others."""
    try:
        heads = _read(_count(_authenticate(requests)))
    except Exception as error:
        log.warning("foresight.failed", error=type(error).__name__, requests=len(requests))
        return [False] * len(requests)  # where each waits for itself
    return [one.run is None or one.run not in heads or not heads[one.run].is_large for one in requests]


def _authenticate(requests: Sequence[ForeseenRequest]) -> list[tuple[ForeseenRequest, User]]:
    """The requests whose sessions and keys are valid, and who sent them."""
    sent = {one.credential for one in requests}
    tokens = [one for one in sent if isinstance(one, AccessToken)]
    hashes = [one for one in sent if isinstance(one, bytes)]
    with reading_scope() as session:
        of_tokens: Mapping[Any, AuthenticatedSession] = sessions.authenticate_many(session, tokens) if tokens else {}
        of_keys: Mapping[Any, AuthenticatedKey] = access_keys.authenticate_many(session, hashes) if hashes else {}
    found: dict[Any, AuthenticatedSession | AuthenticatedKey] = {**of_tokens, **of_keys}
    known = [one for one in requests if one.credential in found]
    for one in known:
        one.answers[one.credential] = found[one.credential]
    return [(one, found[one.credential].user) for one in known]


def _count(known: Sequence[tuple[ForeseenRequest, User]]) -> list[ForeseenRequest]:
    """Count the requests; returns those that are within the limits of their users."""
    counts = rate_limits.count_ahead([user for _, user in known])
    for (one, _), (key, counted) in zip(known, counts, strict=True):
        one.answers[key] = counted
    return [one for (one, _), (_, counted) in zip(known, counts, strict=True) if counted and counted.remaining >= 0]


def _read(requests: Iterable[ForeseenRequest]) -> Mapping[OwnedRun, RunHead]:
    """Read the runs, each as far as one of the requests needs it."""
    wanted: dict[OwnedRun, Extent] = {}
    reading = [(one, one.run) for one in requests if one.run is not None]
    for one, run in reading:
        wanted[run] = max(one.extent, wanted.get(run, one.extent))
    heads = read_ahead(wanted)
    for one, run in reading:
        one.answers[run] = heads.get(run)
    return heads
