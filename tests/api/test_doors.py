"""Every door is locked unless it is listed, and nobody passes through with somebody else's ids or made-up fields.

All of it is generated from the URL map, so a new route is held to it from its first day.
"""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from models.rules.pricing import Tier
from models.stripe_request import StripeRequest
from models.user import Role, User
from tests.api import billing
from tests.api.graphs import two_steps, workflow

PUBLIC = {"auth.register", "auth.login", "health.health", "health.live", "health.ready"}
PUBLIC |= {"webhooks.stripe", "metrics.metrics", "docs.openapi", "docs.docs", "docs.asset"}


# Words in an address that name something within what an id names.
NAMES = {"node_id": "a", "event_id": "a", "provider": "openai", "number": 1, "part": "start.js"}
# What a route wants to hear before it looks whose thing it is.
BODIES = {"executions.approve": {"approved": True}, "executions.resume": {"maxCredits": 5}}


def doors(app: Flask) -> Iterator[tuple[str, Rule]]:
    """Every method and route."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule


def address(app: Flask, rule: Rule, ids: dict[str, str]) -> str:
    """The route's address with these ids in it."""
    with app.test_request_context():
        values = {name: UUID(ids.get(name, "00000000-0000-0000-0000-000000000000")) for name in ids_in(rule)}
        values |= {name: NAMES[name] for name in rule.arguments & NAMES.keys()}
        built = rule.build(values)
        assert built is not None
        return built[1]


def ids_in(rule: Rule) -> set[str]:
    """The ids in the route's address."""
    return rule.arguments - NAMES.keys()


def for_administrators(rule: Rule) -> bool:
    return rule.endpoint.startswith("admin.")


def bought(client: FlaskClient, session: Session, user: User) -> dict[str, str]:
    """One of everything that has to do with Stripe."""
    headers = {"Prefer": "wait=0"}
    purchase = client.post("/credits/purchase", json={"packageId": "pack_100"}, headers=headers).json
    request = session.scalars(select(StripeRequest)).one()
    method = billing.payment_method(session, user)
    invoice = billing.invoice(session, user)
    session.commit()
    rows = {"request_id": request, "method_id": method, "invoice_id": invoice}
    return {"purchase_id": purchase["id"], **{name: str(row.id) for name, row in rows.items()}}


class TestRoutes:
    def test_every_route_answers_401_to_a_stranger_unless_it_is_public(self, app, stranger):
        open_doors = {
            rule.endpoint
            for method, rule in doors(app)
            if stranger.open(address(app, rule, {}), method=method, json={}).status_code != 401
        }
        assert open_doors == PUBLIC

    @pytest.mark.parametrize("token", ["x.y.z", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."])
    def test_a_token_that_is_none_opens_no_door(self, app, stranger, token):
        header = {"Authorization": f"Bearer {token}"}
        for method, rule in doors(app):
            if rule.endpoint not in PUBLIC:
                answer = stranger.open(address(app, rule, {}), method=method, json={}, headers=header)
                assert answer.status_code == 401, rule

    def test_what_belongs_to_another_is_not_there(self, app, client: FlaskClient, sign_in, other, session, user):
        """Every route with an id in it, with the ids of somebody else's things."""
        workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        execution_id = client.post(f"/workflows/{workflow_id}/execute").json["id"]
        template = client.post("/templates", json={"name": "T", "category": "c", **two_steps()}).json["template"]
        ids = {"workflow_id": workflow_id, "execution_id": execution_id, "template_id": template["id"]}
        ids |= bought(client, session, user)
        ids["session_id"] = client.get("/auth/sessions").json["sessions"][0]["id"]
        guarded = [(method, rule) for method, rule in doors(app) if ids_in(rule) and not for_administrators(rule)]
        assert {name for _, rule in guarded for name in ids_in(rule)} == set(ids)
        thief = sign_in(other)
        for method, rule in guarded:
            answer = thief.open(address(app, rule, ids), method=method, json=BODIES.get(rule.endpoint, {}))
            assert (answer.status_code, answer.json["code"]) == (404, "not_found"), (method, rule)
        assert client.get(f"/executions/{execution_id}").json["status"] == "queued"
        assert client.get(f"/workflows/{workflow_id}").status_code == 200

    def test_the_administrators_doors_are_not_there_for_anybody_else(self, app, stranger, client, sign_in, new_user):
        administrator = sign_in(new_user("grace@example.com", role=Role.ADMIN))
        inside = [(method, rule) for method, rule in doors(app) if for_administrators(rule)]
        assert len(inside) > 3
        for method, rule in inside:
            asked = {"path": address(app, rule, {}), "method": method, "json": {}}
            assert stranger.open(**asked).status_code == 401, rule
            refusal = client.open(**asked)
            assert (refusal.status_code, refusal.json["detail"]) == (404, "There is no such address."), rule
            answer = administrator.open(**asked)
            assert answer.status_code < 300 or answer.json["detail"] != "There is no such address.", rule

    def test_every_id_in_an_address_is_a_uuid(self, app):
        for _, rule in doors(app):
            assert set(re.findall(r"<(?!uuid:)(?:(?:int|any\(.*?\)):)?(.*?)>", rule.rule)) <= set(NAMES)

    def test_nobody_writes_what_is_ours_to_decide(self, app, sign_in, new_user):
        """Every route that takes a body refuses fields that it does not list."""
        # There are more doors than a minute's, and some are an administrator's.
        client = sign_in(new_user("grace@example.com", tier=Tier.ENTERPRISE, role=Role.ADMIN))
        for method, rule in doors(app):
            if method in ("POST", "PUT") and rule.endpoint not in PUBLIC:
                for field in ("role", "credits", "userId", "subscriptionTier"):
                    answer = client.open(address(app, rule, {}), method=method, json={field: 1})
                    assert answer.status_code == 422, (method, rule, answer.json)
                    assert field in [error["field"] for error in answer.json["errors"]]
