"""One request, one transaction: opened on first use and settled once, before the client hears a word."""

from flask import Flask, Response, g
from sqlalchemy.orm import Session

from api import errors
from models.db import SessionFactory


def db() -> Session:
    """The session of this request."""
    session: Session | None = g.get("db")
    if session is None:
        session = g.db = SessionFactory()
    return session


def init_app(app: Flask) -> None:
    """Settle the session after every view, and close it whatever happens."""

    @app.after_request
    def settle(response: Response) -> Response:
        session = g.get("db")
        if session is None:
            return response
        try:
            if response.status_code < 400:
                session.commit()
        except Exception as error:  # what was answered must be what is stored, so the refusal replaces the answer
            response = errors.answer(error)
        finally:
            close()
        return response

    @app.teardown_request
    def teardown(_: BaseException | None) -> None:
        close()


def close() -> None:
    """Give the connection back, undoing whatever was not committed; `db()` may be opened anew afterwards."""
    if session := g.pop("db", None):
        session.close()
