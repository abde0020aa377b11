"""What the audit log wants to know of a request: who did it, and from where."""

import ipaddress
from typing import Any
from uuid import UUID

from flask import g, request

from api.session import db
from models.services import audit


def record(action: str, subject: UUID | None, *, actor: UUID | None = None, **data: Any) -> None:
    """Write down what the caller, or somebody who became known just now, did to this user's account."""
    if actor is None and "user" in g:
        actor = g.user.id
    audit.record(db(), actor=actor, action=action, subject=subject, address=caller_address(), data=data or None)


def caller_address() -> str | None:
    """The caller's IP address; None for what is none, as a proxy may claim anything."""
    try:
        return str(ipaddress.ip_address((request.remote_addr or "").partition("%")[0]))
    except ValueError:
        return None
