"""Every route is locked unless it is listed, and ignores other users' ids and unknown fields.

The tests are generated from the URL map, so they cover new routes at once: a route whose path has an id of a new kind
fails here until `tests.support.api.routes` creates such an object.
"""

import re

import pytest
from marshmallow import RAISE
from sqlalchemy import update

from models.rules.prices.pricing import Tier
from models.tables import Credit, Role, User
from tests.api.conftest import ORIGIN
from tests.support.api.routes import NAMES, PUBLIC, api_routes, archives, belongings, call_route

OURS_TO_DECIDE = (
    *("role", "credits", "balance", "held", "userId", "user_id", "ownerId", "subscriptionTier", "tier", "isAdmin"),
    *("id", "createdAt", "passwordHash", "tokenEpoch", "stripeCustomerId"),
)
APP = {
    *("auth.register", "auth.login", "auth.profile", "auth.refresh", "auth.logout"),
    *("passwords.change", "passwords.reset"),
    *("workflows.create", "workflows.update", "workflows.execute", "workflows.validate"),
    *("templates.create", "templates.update", "templates.instantiate"),
    *(
        "purchases.create",
        "subscriptions.create",
        "subscriptions.update",
        "subscriptions.cancel",
        "subscriptions.resume",
    ),
    *("payment_methods.add", "payment_methods.default", "usage.track", "api_keys.put"),
}
PREFLIGHT = ("Origin", "Methods", "Headers")  # of what a browser asks for leave
NO_SUCH_ADDRESS = "There is no such address."


@pytest.fixture
def owner(new_user):
    return new_user("owner@example.com", tier=Tier.ENTERPRISE)  # there are more doors than a minute of the free tier


@pytest.fixture
def thief(new_user, sign_in):
    return sign_in(new_user("thief@example.com", tier=Tier.ENTERPRISE))


@pytest.fixture
def administrator(new_user, sign_in):
    return sign_in(new_user("grace@example.com", tier=Tier.ENTERPRISE, role=Role.ADMIN))


class TestStrangers:
    def test_are_answered_401_everywhere_unless_it_is_public(self, app, stranger):
        """Each route is called from its own address, because there are more of them than the rate limit allows."""
        answers = [
            (route, call_route(app, stranger, route, environ_base=_address(number))) for number, route in numbered(app)
        ]
        assert {route.endpoint for route, answer in answers if answer.status_code != 401} == PUBLIC

    @pytest.mark.parametrize("token", ["x.y.z", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."])
    def test_open_no_route_with_an_invalid_token(self, app, stranger, token):
        headers = {"Authorization": f"Bearer {token}"}
        locked = [(number, route) for number, route in numbered(app) if not route.is_public]
        asked = {"headers": headers}
        answers = {
            str(route): call_route(app, stranger, route, environ_base=_address(n), **asked) for n, route in locked
        }
        assert {route for route, answer in answers.items() if answer.status_code != 401} == set()


def numbered(app):
    return list(enumerate(api_routes(app), 1))


def _address(number):
    return {"REMOTE_ADDR": f"10.1.{number // 250}.{number % 250 + 1}"}


class TestPreflights:
    """A browser asks without a token whether it may ask with one, wherever that is."""

    def test_from_our_origins_are_allowed_at_every_route(self, app, stranger):
        wrong = {}
        for route in api_routes(app):
            answer = preflight(app, stranger, route, ORIGIN)
            granted = {name: answer.headers.get(f"Access-Control-Allow-{name}", "") for name in PREFLIGHT}
            expected = granted["Origin"] == ORIGIN and route.method in granted["Methods"]
            if answer.status_code != 200 or not expected or "Authorization" not in granted["Headers"]:
                wrong[str(route)] = (answer.status_code, granted)
        assert wrong == {}

    def test_from_elsewhere_are_granted_nothing(self, app, stranger):
        answers = {str(route): preflight(app, stranger, route, "https://evil.example") for route in api_routes(app)}
        granting = {route for route, answer in answers.items() if "Access-Control-Allow-" in str(answer.headers)}
        assert granting == set()

    def test_are_not_counted_as_requests(self, app, stranger):
        """The limit is a hundred in 15 minutes, and there are more routes."""
        assert len([preflight(app, stranger, route, ORIGIN) for _ in range(2) for route in api_routes(app)]) > 100
        assert (
            call_route(app, stranger, next(api_routes(app, lambda route: route.endpoint == "auth.me"))).status_code
            == 401
        )


def preflight(app, client, route, origin):
    """A browser's preflight request for this route's method from a page of this origin."""
    asked = {"Origin": origin, "Access-Control-Request-Method": route.method}
    return call_route(app, client, route, method="OPTIONS", headers=asked)


class TestOthers:
    def test_find_nothing_behind_an_id_that_its_owner_finds(self, app, sign_in, owner, thief, session):
        """Every route with an id returns 404 for another user, and something else for the owner."""
        client, elsewhere = sign_in(owner), sign_in(owner)
        ids = belongings(client, elsewhere, session, owner)
        guarded = list(api_routes(app, lambda route: route.is_ours and bool(route.ids)))
        assert {name for route in guarded for name in route.ids} == set(ids), "a new kind of thing"
        refused = {str(route): call_route(app, thief, route, ids) for route in guarded}
        assert {route: answer.status_code for route, answer in refused.items() if answer.status_code != 404} == {}
        assert {answer.json["code"] for answer in refused.values()} == {"not_found"}
        found = {str(route): call_route(app, client, route, ids).status_code for route in guarded}
        assert {route: status for route, status in found.items() if status in (401, 403, 404) or status >= 500} == {}

    def test_see_nothing_of_it_in_any_list(self, app, sign_in, owner, thief, session):
        ids = belongings(sign_in(owner), sign_in(owner), session, owner)
        lists = list(api_routes(app, lambda route: route.is_ours and route.method == "GET" and not route.ids))
        shown = {str(route): call_route(app, thief, route).get_data(as_text=True) for route in lists}
        private = {*ids.values(), str(owner.id), owner.email}
        assert {route for route, text in shown.items() if any(secret in text for secret in private)} == set()
        seen = "".join(call_route(app, sign_in(owner), route).get_data(as_text=True) for route in lists)
        assert {name for name, value in ids.items() if value not in seen} == {"request_id"}  # which is in no list


class TestAdministration:
    def test_does_not_exist_for_other_users(self, app, thief, session, owner):
        ids = archives(session, owner)
        inside = list(api_routes(app, lambda route: route.is_for_administrators))
        assert len(inside) > 3
        answers = {str(route): call_route(app, thief, route, ids) for route in inside}
        assert {answer.status_code for answer in answers.values()} == {404}
        assert {answer.json["detail"] for answer in answers.values()} == {NO_SUCH_ADDRESS}

    def test_is_open_to_administrators(self, app, administrator, session, owner):
        ids = archives(session, owner)
        inside = list(api_routes(app, lambda route: route.is_for_administrators))
        assert {name for route in inside for name in route.ids} <= set(ids), "a new kind of thing"
        found = {str(route): call_route(app, administrator, route, ids).status_code for route in inside}
        assert {route: status for route, status in found.items() if status in (401, 403, 404) or status >= 500} == {}

    def test_ends_with_the_role(self, app, administrator, session):
        assert administrator.get("/admin/queues").status_code == 200
        session.execute(update(User).values(role=Role.USER))
        session.commit()
        assert administrator.get("/admin/queues").status_code == 404


def takes_a_body(route):
    return route.method in ("POST", "PUT", "PATCH") and route.endpoint != "webhooks.stripe"


def standing(session, user):
    """The fields of a user that the service decides."""
    session.refresh(user)
    wallet = session.get_one(Credit, user.id)
    session.refresh(wallet)
    return user.role, user.subscription_tier, user.email, user.password_hash, wallet.balance, wallet.held


class TestMassAssignment:
    """The app sends its own objects whole: what a route of its calls does not list has no effect. All others refuse."""

    def test_fields_that_the_service_decides_are_not_accepted(self, app, administrator):
        """Every route that the app does not call names each field that it does not list."""
        made_up = dict.fromkeys(OURS_TO_DECIDE, 1)
        wrong = {}
        for route in api_routes(app, lambda route: takes_a_body(route) and route.endpoint not in APP):
            answer = call_route(app, administrator, route, json=made_up)
            named = {error["field"] for error in answer.json.get("errors", [])}
            if answer.status_code != 422 or set(made_up) - named:
                wrong[str(route)] = (answer.status_code, set(made_up) - named)
        assert wrong == {}

    def test_no_route_of_the_app_takes_it_either(self, app, sign_in, owner, session):
        """Unknown fields of a body are dropped when it is read, and their names are not mentioned."""
        made_up = dict.fromkeys(OURS_TO_DECIDE, 1)
        before = standing(session, owner)
        named = {}
        for route in api_routes(app, lambda route: takes_a_body(route) and route.endpoint in APP):
            answer = call_route(app, sign_in(owner), route, json=made_up)
            named[str(route)] = {error["field"] for error in answer.json.get("errors", [])} & made_up.keys()
        assert {route: fields for route, fields in named.items() if fields} == {}
        assert standing(session, owner) == before
        listed = {view.described.body for name, view in app.view_functions.items() if name in APP}
        assert {key for schema in listed for key in schema().load_fields} & set(OURS_TO_DECIDE) == set()

    def test_only_bodies_of_the_app_may_hold_what_is_not_listed(self, app):
        taken = {name: view.described.body for name, view in app.view_functions.items() if view.described.body}
        assert len(taken) > 15
        assert {name for name, schema in taken.items() if schema().unknown != RAISE} == APP


def test_every_id_in_an_address_is_a_uuid(app):
    for route in api_routes(app):
        assert set(re.findall(r"<(?!uuid:)(?:(?:int|any\(.*?\)):)?(.*?)>", route.rule.rule)) <= set(NAMES)
