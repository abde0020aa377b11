"""The transaction of a request: opened on first use, committed once, before the response is sent."""

from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from api.http import errors
from models import replicas
from models.db import SessionFactory
from models.raw_statement import READS_ALONE
from models.replicas import Replicas

log = structlog.get_logger(__name__)

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

P = ParamSpec("P")
R = TypeVar("R")


def db() -> Session:
    """The session of this request; that of a replica in a view with `reads_replica`."""
    if "replica" in g:
        return g.replica
    session: Session | None = g.get("db")
    if session is None:
        session = g.db = SessionFactory()
        if "writes" not in g:
            session.info[READS_ALONE] = True
    return session


def init_app(app: Flask, replica_urls: tuple[str, ...]) -> None:
    """Commit the session after every view that succeeded, and close it in any case."""
    app.extensions["replicas"] = Replicas(replica_urls)
    app.before_request(_expect_writes)
    app.after_request(_note_write)  # called after `settle`, because Flask calls the last one first
    app.after_request(settle)

    @app.teardown_request
    def teardown(_: BaseException | None) -> None:
        close()


def _expect_writes() -> None:
    """Let all statements of a request that may write belong to one transaction; what came before is who asks."""
    if request.method not in SAFE:
        g.writes = True
        if session := g.get("db"):
            session.info.pop(READS_ALONE, None)


def reads_replica(view: Callable[P, R]) -> Callable[P, R]:
    """Decorate a view that only reads, of what may be a little old: it is served as `on_replica` describes."""

    @wraps(view)
    def read(*args: P.args, **kwargs: P.kwargs) -> R:
        return on_replica(partial(view, *args, **kwargs))

    return read


def on_replica(read: Callable[[], R]) -> R:
    """Call `read` with a replica as its database if one is able to serve the caller, else with the primary.

    A replica never lacks what was written with the caller's credential. If it fails, `read` is repeated on the primary.
    """
    able: Replicas = current_app.extensions["replicas"]
    if not able or (session := able.session(g.caller.written_position)) is None:
        return read()
    db().commit()  # of the authentication, so that its connection is free meanwhile
    with session:
        g.replica = session
        try:
            return read()
        except DBAPIError as error:  # such as a conflict with what the standby replays
            log.warning("replica.failed", error=type(error).__name__)
        finally:
            g.pop("replica")
    return read()


def settle(response: Response) -> Response:
    """Commit the session of a response that succeeded; returns the response, or the one of the error in its place."""
    session = g.get("db")
    if session is None:
        return response
    try:
        if response.status_code < 400 and session.in_transaction():  # else it would begin one, to commit it
            session.commit()
    except Exception as error:  # the response must match what is stored, so the error replaces it
        response = errors.response(error)
    finally:
        close()
    return response


def _note_write(response: Response) -> Response:
    """Let later requests with the caller's credential see what is committed by now, on replicas too."""
    caller = g.get("caller")
    if caller is not None and request.method not in SAFE and current_app.extensions["replicas"]:
        try:
            replicas.note_write(caller.credential)
        except SQLAlchemyError as error:  # what was written is written
            log.warning("replica.write_not_noted", error=type(error).__name__)
    return response


def close() -> None:
    """Roll back uncommitted changes and release the connection; `db()` opens a new session afterwards."""
    if session := g.pop("db", None):
        session.close()
