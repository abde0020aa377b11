"""Every route of the API, read from its URL map, and one object of every kind that routes address."""

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

from models.services.operations import alerts
from models.services.reconciliation import reconciliation
from models.services.stripe import stripe_events
from models.tables import RunKind, StripeRequest, Template, TemplateReport, User
from tests.support.api import stripe_outcomes
from tests.support.api.graphs import two_steps, workflow

PUBLIC = {"auth.register", "auth.login", "health.health", "health.live", "health.ready"}
PUBLIC |= {"webhooks.stripe", "docs.index", "docs.openapi", "docs.docs", "docs.asset"}
PUBLIC |= {"passwords.reset", "passwords.confirm", "pages.reset_password", "data_exports.fetch"}
PUBLIC |= {
    "node_types.index",
    "client_config.index",
    "addresses.verify",
    "addresses.undo",
    "pages.verify",
    "pages.undo_email",
    "pages.unsubscribe",
    "notifications.unsubscribe",
}

# Arguments of paths that are not ids of objects.
NAMES = {
    "node_id": "in",
    "data": "output",
    "letter_id": "evt_route",
    "provider": "openai",
    "number": 1,
    "other": 1,
    "part": "start.js",
}
# Bodies that routes validate before they check the object's owner.
BODIES = {
    "executions.approve": {"approved": True},
    "executions.resume": {"maxCredits": 5},
    "templates.report": {"reason": "Spam"},
    "schedules.create": {"cron": "0 7 * * *", "timeZone": "UTC"},
}
NOBODYS = "00000000-0000-0000-0000-000000000000"


class ApiRoute(NamedTuple):
    """One method of one route."""

    method: str
    rule: Rule

    @property
    def endpoint(self) -> str:
        return str(self.rule.endpoint)

    @property
    def ids(self) -> set[str]:
        """The ids in its path."""
        return self.rule.arguments - NAMES.keys()

    @property
    def is_public(self) -> bool:
        return self.endpoint in PUBLIC

    @property
    def is_for_administrators(self) -> bool:
        return self.endpoint.startswith("admin")

    @property
    def is_ours(self) -> bool:
        """Whether it addresses objects of one user."""
        return not self.is_public and not self.is_for_administrators

    def __str__(self) -> str:
        return f"{self.method} {self.rule.rule}"


def api_routes(app: Flask, which: Callable[[ApiRoute], bool] = lambda _: True) -> Iterator[ApiRoute]:
    """Every method of every route; deleting ones come last, and those of parts before those of their wholes."""
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    found = [
        ApiRoute(method, rule) for rule in rules for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    yield from filter(which, [route for route in found if route.method != "DELETE"])
    yield from filter(which, reversed([route for route in found if route.method == "DELETE"]))


def call_route(
    app: Flask, client: FlaskClient, route: ApiRoute, ids: dict[str, str] | None = None, **how: object
) -> TestResponse:
    """Call a route with these ids in its path, without waiting for Stripe."""
    with app.test_request_context():
        values = {name: UUID((ids or {}).get(name, NOBODYS)) for name in route.ids}
        built = route.rule.build(values | {name: NAMES[name] for name in route.rule.arguments & NAMES.keys()})
        assert built is not None
    asked = {"json": BODIES.get(route.endpoint, {})} if route.method != "GET" else {}
    headers = {"Prefer": "wait=0", **how.pop("headers", {})}
    with client.open(built[1], headers=headers, **{"method": route.method, **asked, **how}) as response:
        return response


def made(client: FlaskClient, path: str, body: dict[str, object]) -> Any:
    """The created object; refusals for lack of capacity are repeated, as clients do."""
    for _ in range(10):
        answer = client.post(path, json=body, headers={"Prefer": "wait=0"})
        if answer.status_code != 503:
            break
        time.sleep(0.5)
    assert answer.status_code in (201, 202), f"{path} answered {answer.status_code}: {answer.get_data(as_text=True)}"
    return answer.json


def belongings(client: FlaskClient, other_client: FlaskClient, session: Session, user: User) -> dict[str, str]:
    """Ids of one object of every kind that a user can have; `other_client` is the same user on another device."""
    workflow_id = made(client, "/workflows", workflow())["workflow"]["id"]
    template = made(client, "/templates", {"name": "T", "category": "c", **two_steps()})["template"]
    bought = made(client, "/credits/purchase", {"packageId": "pack_100"})
    request = session.scalars(select(StripeRequest).where(StripeRequest.user_id == user.id)).one()
    method, invoice = stripe_outcomes.payment_method(session, user), stripe_outcomes.invoice(session, user)
    session.commit()
    sessions = other_client.get("/auth/sessions").json["sessions"]
    daily = made(client, f"/workflows/{workflow_id}/schedules", BODIES["schedules.create"])["schedule"]
    return {
        "workflow_id": workflow_id,
        "schedule_id": daily["id"],
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
    """Ids of one object of every kind that only administrators see; the dead event is the one in `NAMES`."""
    now = datetime.now(UTC)
    run = reconciliation.begin(session, RunKind.OBJECTS, since=now - timedelta(days=1), dry_run=False)
    event_id = str(NAMES["letter_id"])
    said = {"type": "invoice.paid", "api_version": None, "created": now, "livemode": False, "raw": b"{}"}
    stripe_events.receive(session, event_id=event_id, **said)
    stripe_events.give_up(session, event_id, "orphan")
    template = session.scalars(select(Template).where(Template.owner_id.is_(None)).limit(1)).one()
    report = TemplateReport(template_id=template.id, user_id=user.id, reason="Spam")
    session.add(report)
    alerts.add(session, kind="paid_twice", subject="pi_1", detail="About it.", key="pi_1", user_id=user.id)
    session.commit()
    alert = alerts.list_open(session)[0]
    shown = {"template_id": str(template.id), "report_id": str(report.id), "alert_id": str(alert.id)}
    return {"run_id": str(run.id), "person_id": str(user.id), **shown}
