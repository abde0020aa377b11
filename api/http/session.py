"""The transaction of a request: opened on first use, committed once, before the response is sent."""

from flask import Flask, Response, g
from sqlalchemy.orm import Session

from api.http import errors
from models.db import SessionFactory


def db() -> Session:
    """The session of this request."""
    session: Session | None = g.get("db")
    if session is None:
        session = g.db = SessionFactory()
    return session


def init_app(app: Flask) -> None:
    """Commit the session after every view that succeeded, and close it in any case."""

    app.after_request(settle)

    @app.teardown_request
    def teardown(_: BaseException | None) -> None:
        close()


def settle(response: Response) -> Response:
    """Commit the session of a response that succeeded; returns the response, or the one of the error in its place."""
    session = g.get("db")
    if session is None:
        return response
    try:
        if response.status_code < 400:
            session.commit()
    except Exception as error:  # the response must match what is stored, so the error replaces it
        response = errors.response(error)
    finally:
        close()
    return response


def close() -> None:
    """Roll back uncommitted changes and release the connection; `db()` opens a new session afterwards."""
    if session := g.pop("db", None):
        session.close()
