"""Every door of the API, read from its URL map, and one of every kind of thing that lies behind one."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from models.reconciliation import RunKind
from models.services import billing_events, reconciliation
from models.stripe_request import StripeRequest
from models.user import User
from tests.api import billing
from tests.api.graphs import two_steps, workflow

PUBLIC = {"auth.register", "auth.login", "health.health", "health.live", "health.ready"}
PUBLIC |= {"webhooks.stripe", "metrics.metrics", "docs.openapi", "docs.docs", "docs.asset"}
PUBLIC |= {"passwords.reset", "passwords.confirm", "pages.reset_password"}

# Words in an address that name something within what an id names.
NAMES = {"node_id": "a", "letter_id": "evt_door", "provider": "openai", "number": 1, "part": "start.js"}
# What a route wants to hear before it looks whose thing it is.
BODIES = {"executions.approve": {"approved": True}, "executions.resume": {"maxCredits": 5}}
NOBODYS = "00000000-0000-0000-0000-000000000000"


class Door(NamedTuple):
    """One method of one route."""

    method: str
    rule: Rule

    @property
    def endpoint(self) -> str:
        return str(self.rule.endpoint)

    @property
    def ids(self) -> set[str]:
        """The ids in its address."""
        return self.rule.arguments - NAMES.keys()

    @property
    def is_public(self) -> bool:
        return self.endpoint in PUBLIC

    @property
    def is_for_administrators(self) -> bool:
        return self.endpoint.startswith("admin")

    @property
    def is_ours(self) -> bool:
        """Whether it leads to things of one user."""
        return not self.is_public and not self.is_for_administrators

    def __str__(self) -> str:
        return f"{self.method} {self.rule.rule}"


def doors(app: Flask, which: Callable[[Door], bool] = lambda _: True) -> Iterator[Door]:
    """Every method and route; what deletes comes last."""
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    found = [Door(method, rule) for rule in rules for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    yield from filter(which, sorted(found, key=lambda door: door.method == "DELETE"))


def knock(
    app: Flask, client: FlaskClient, door: Door, ids: dict[str, str] | None = None, **how: object
) -> TestResponse:
    """Ask at a door, with these ids in its address; nobody waits for Stripe."""
    with app.test_request_context():
        values = {name: UUID((ids or {}).get(name, NOBODYS)) for name in door.ids}
        built = door.rule.build(values | {name: NAMES[name] for name in door.rule.arguments & NAMES.keys()})
        assert built is not None
    asked = {"json": BODIES.get(door.endpoint, {})} if door.method != "GET" else {}
    headers = {"Prefer": "wait=0", **how.pop("headers", {})}
    with client.open(built[1], headers=headers, **{"method": door.method, **asked, **how}) as response:
        return response


def made(client: FlaskClient, path: str, body: dict[str, object]) -> Any:
    """What was made there; where there was too much to do just then it is asked for again, as clients do."""
    for _ in range(10):
        answer = client.post(path, json=body, headers={"Prefer": "wait=0"})
        if answer.status_code != 503:
            break
        time.sleep(0.5)
    assert answer.status_code in (201, 202), f"{path} answered {answer.status_code}: {answer.get_data(as_text=True)}"
    return answer.json


def belongings(client: FlaskClient, other_client: FlaskClient, session: Session, user: User) -> dict[str, str]:
    """The ids of one of everything that a user can have; `other_client` is the same user somewhere else."""
    workflow_id = made(client, "/workflows", workflow())["workflow"]["id"]
    template = made(client, "/templates", {"name": "T", "category": "c", **two_steps()})["template"]
    bought = made(client, "/credits/purchase", {"packageId": "pack_100"})
    request = session.scalars(select(StripeRequest).where(StripeRequest.user_id == user.id)).one()
    method, invoice = billing.payment_method(session, user), billing.invoice(session, user)
    session.commit()
    sessions = other_client.get("/auth/sessions").json["sessions"]
    return {
        "workflow_id": workflow_id,
        "execution_id": made(client, f"/workflows/{workflow_id}/execute", {})["id"],
        "template_id": template["id"],
        "purchase_id": bought["id"],
        "request_id": str(request.id),
        "method_id": str(method.id),
        "invoice_id": str(invoice.id),
        "key_id": made(client, "/access-keys", {"name": "Program"})["accessKey"]["id"],
        "session_id": next(one["id"] for one in sessions if one["current"]),
    }


def archives(session: Session, user: User) -> dict[str, str]:
    """The ids of one of everything that only administrators see; the dead event is the one in `NAMES`."""
    now = datetime.now(UTC)
    run = reconciliation.begin(session, RunKind.OBJECTS, since=now - timedelta(days=1), dry_run=False)
    event_id = str(NAMES["letter_id"])
    said = {"type": "invoice.paid", "api_version": None, "created": now, "livemode": False, "raw": b"{}"}
    billing_events.receive(session, event_id=event_id, **said)
    billing_events.dead(session, event_id, "orphan")
    session.commit()
    return {"run_id": str(run.id), "person_id": str(user.id)}
