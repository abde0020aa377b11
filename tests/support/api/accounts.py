"""Accounts created through the API: registered, and verified by the link in the mail."""

from collections.abc import Mapping

from flask.testing import FlaskClient
from sqlalchemy import select

from models.db import session_scope
from models.services.accounts import email_links
from models.tables import EmailLink


def register(client: FlaskClient, account: Mapping[str, str]) -> str:
    """Register `account` and follow the link that is mailed to it; return the token."""
    made = client.post("/auth/register", json=account)
    assert made.status_code == 201, made.json
    follow_link(client, account["email"])
    return made.json["token"]


def follow_link(client: FlaskClient, email: str) -> None:
    """Follow the newest link that was mailed to this address."""
    newest = select(EmailLink.id).where(EmailLink.email == email).order_by(EmailLink.created_at.desc()).limit(1)
    with session_scope() as session:
        token = email_links.issue(session, session.scalars(newest).one())
    assert client.post("/auth/verify", json={"token": token}).status_code == 200
