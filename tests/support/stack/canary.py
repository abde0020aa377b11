"""Puts an e-mail address into every input of the API, and records everything that passes through Redis meanwhile."""

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import redis

from devstack.app_client import AppClient, AppClientError
from models.serialization import Json

NEVER = {"/auth/logout", "/auth/me", "/auth/sessions"}  # they end the session in use
STREAM = "text/event-stream"
_BODY = re.compile(r'"body": ?\\?"([A-Za-z0-9+/=]+)')


def live(app: AppClient, mail: str, email: str, other: str) -> str:
    """Go through a user's life with this address, another address, and an account without mail."""
    password = "correct horse battery 7"
    AppClient(app.url).register(email.replace("@", "+550@"), password, "Nobody")
    app.register(email, password, "Canary")
    app.verify(mail, email)
    refused(app, "/auth/register", {"email": email, "password": password, "name": "Twice"})
    refused(app, "/auth/login", {"email": email, "password": "wrong horse battery 7"})
    app.token = app.call("POST", "/auth/login", {"email": email, "password": password})["token"]
    app.call("POST", "/auth/reset-password", {"email": email})
    app.call("PUT", "/auth/profile", {"email": other, "name": email})
    app.verify(mail, other)
    app.call("POST", "/auth/two-factor/setup", {"password": password})
    refused(app, "/auth/two-factor/confirm", {"code": email})
    app.call("POST", "/auth/export", {})
    app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    refused(app, "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_chargeDeclined"})
    nodes = [{"id": "ask", "type": "approval", "label": email, "config": {"message": f"Write to {email}?"}}]
    run = app.execute(app.save(email, {"nodes": nodes, "connections": []})["id"], {"email": email})
    asked = (state for state in app.watch(run) if state["nodes"][0]["status"] == "waiting")
    next(asked)  # the next state may still be the one before the answer
    app.call("POST", f"/executions/{run}/approvals/ask", {"approved": True, "comment": email})
    *_, state = app.watch(run)
    app.call("DELETE", "/auth/me", {"password": password})
    return str(state["status"])


def refused(app: AppClient, path: str, body: Json) -> None:
    """Make a request that must be refused."""
    with suppress(AppClientError):
        app.call("POST", path, body)
        raise AssertionError(f"{path} took it")


def put_everywhere(app: AppClient, description: Json, text: str) -> list[int]:
    """Call every operation with `text` in each part of its path and each field of its body; return the statuses."""
    statuses = []
    for path, operations in description["paths"].items():
        for method in set(operations) & {"get", "post", "put", "patch", "delete"}:
            if method == "get" or path not in NEVER:
                statuses.append(_ask(app, method.upper(), path, operations[method], text))
    return statuses


def _ask(app: AppClient, method: str, path: str, operation: Json, text: str) -> int:
    content = operation.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example")
    body = _filled(example, text) if isinstance(example, dict) else {"email": text} if content else None
    address = f"{re.sub(r'{[^}]+}', text, path)}?since={text}&email={text}"
    if STREAM in operation["responses"].get("200", {}).get("content", {}):
        return _begin(app, address)
    try:
        app.call(method, address, body)
    except AppClientError as refusal:
        return refusal.status
    except ValueError:  # a page, not JSON
        return 200
    return 200


def _begin(app: AppClient, address: str) -> int:
    """Ask for a stream, which may never end, and leave once it has begun."""
    request = Request(f"{app.url}/api{address}", headers={"Authorization": f"Bearer {app.token}"})
    try:
        with urlopen(request, timeout=30) as stream:
            return int(stream.status)
    except HTTPError as refusal:
        with refusal:
            return refusal.code


def _filled(value: Json, text: str) -> Json:
    if isinstance(value, dict):
        return {name: _filled(inner, text) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, text) for inner in value]
    return text if isinstance(value, str) else value


@contextmanager
def overheard(url: str) -> Iterator[list[str]]:
    """Record all commands that this Redis gets in the block, with the bodies of Celery's messages decoded."""
    heard: list[str] = []
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:
        thread = threading.Thread(target=_listen, args=(monitor, heard), daemon=True)
        thread.start()
        try:
            yield heard
        finally:
            with redis.Redis.from_url(url) as other:
                other.echo("over")
            thread.join(10)


def _listen(monitor: Any, heard: list[str]) -> None:
    for said in monitor.listen():
        command = said["command"]
        heard.append(command)
        for body in _BODY.findall(command):
            with suppress(ValueError):
                heard.append(base64.b64decode(body).decode(errors="replace"))
        if command == "ECHO over":
            return
