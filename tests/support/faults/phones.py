"""Clients of the APIs of a world."""

import time
from decimal import Decimal
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import UUID

from devstack.app_client import AppClient
from models.db import session_scope
from models.services.credits import ledger
from tests.support.faults.world import World


def phone(world: World, url: str, tag: str, **call) -> tuple[AppClient, str]:
    """A new user with credits, and a workflow of one call."""
    app = AppClient(url)
    user = app.register(f"{tag}-{time.monotonic_ns()}@example.com", "a long password", "Fault")
    with session_scope() as session:  # a world sends no mail
        ledger.grant(session, UUID(user["id"]), Decimal(10), key=f"phone:{user['id']}", reason="Test", source="test")
    return app, app.save(tag, {"nodes": [world.call("a", tag=tag, **call)], "connections": []})["id"]


def ask(app: AppClient, path: str = "/workflows", body: bytes | None = None, **headers: str) -> tuple[int, str | None]:
    """Send one request; return status and Retry-After."""
    headers |= {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{app.url}/api{path}", data=body, headers=headers), timeout=40) as answer:
            return answer.status, answer.headers["Retry-After"]
    except HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"]
