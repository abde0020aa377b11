"""Clients of the APIs of a world."""

import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from devstack.app_client import App
from tests.faults.world import World


def phone(world: World, url: str, tag: str, **call) -> tuple[App, str]:
    """A new user and a workflow of one call."""
    app = App(url)
    app.register(f"{tag}-{time.monotonic_ns()}@example.com", "a long password", "Fault")
    return app, app.save(tag, {"nodes": [world.call("a", tag=tag, **call)], "connections": []})["id"]


def ask(app: App, path: str = "/workflows", body: bytes | None = None, **headers: str) -> tuple[int, str | None]:
    """Status and Retry-After of one request."""
    headers |= {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{app.url}/api{path}", data=body, headers=headers), timeout=40) as answer:
            return answer.status, answer.headers["Retry-After"]
    except HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"]
