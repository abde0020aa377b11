"""Audit entries for requests, with the caller and their address."""

from typing import Any
from uuid import UUID

from flask import g

from api.http.client_address import caller
from api.http.session import db
from models.services.operations import audit


def record(action: str, subject: UUID | None, *, actor: UUID | None = None, **data: Any) -> None:
    """Record an action on the account `subject`; `actor` is the caller unless given, as at sign-in."""
    if actor is None and "user" in g:
        actor = g.user.id
    audit.record(db(), actor=actor, action=action, subject=subject, address=caller(), data=data or None)
