"""Every door is locked unless it is listed, and nobody passes through with somebody else's ids or made-up fields.

All of it is generated from the URL map, so a new route is held to it from its first day: one whose address has an id
of a new kind fails here until `tests.api.doors` makes such a thing.
"""

import re

import pytest
from marshmallow import RAISE
from sqlalchemy import update

from models.rules.pricing import Tier
from models.user import Role, User
from tests.api.conftest import ORIGIN
from tests.api.doors import NAMES, PUBLIC, archives, belongings, doors, knock

OURS_TO_DECIDE = (
    *("role", "credits", "balance", "held", "userId", "user_id", "ownerId", "subscriptionTier", "tier", "isAdmin"),
    *("id", "createdAt", "passwordHash", "tokenEpoch", "stripeCustomerId"),
)
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
        open_doors = {door.endpoint for door in doors(app) if knock(app, stranger, door).status_code != 401}
        assert open_doors == PUBLIC

    @pytest.mark.parametrize("token", ["x.y.z", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."])
    def test_open_no_door_with_a_token_that_is_none(self, app, stranger, token):
        headers = {"Authorization": f"Bearer {token}"}
        locked = doors(app, lambda door: not door.is_public)
        wrong = {str(door) for door in locked if knock(app, stranger, door, headers=headers).status_code != 401}
        assert wrong == set()


class TestPreflights:
    """A browser asks without a token whether it may ask with one, wherever that is."""

    def test_from_our_origins_are_welcome_at_every_door(self, app, stranger):
        wrong = {}
        for door in doors(app):
            answer = preflight(app, stranger, door, ORIGIN)
            granted = {name: answer.headers.get(f"Access-Control-Allow-{name}", "") for name in PREFLIGHT}
            expected = granted["Origin"] == ORIGIN and door.method in granted["Methods"]
            if answer.status_code != 200 or not expected or "Authorization" not in granted["Headers"]:
                wrong[str(door)] = (answer.status_code, granted)
        assert wrong == {}

    def test_from_elsewhere_are_granted_nothing(self, app, stranger):
        answers = {str(door): preflight(app, stranger, door, "https://evil.example") for door in doors(app)}
        granting = {door for door, answer in answers.items() if "Access-Control-Allow-" in str(answer.headers)}
        assert granting == set()

    def test_are_not_counted_as_requests(self, app, stranger):
        """A stranger has a hundred in a quarter of an hour, and there are more doors than that."""
        assert len([preflight(app, stranger, door, ORIGIN) for _ in range(2) for door in doors(app)]) > 100
        assert knock(app, stranger, next(doors(app, lambda door: door.endpoint == "auth.me"))).status_code == 401


def preflight(app, client, door, origin):
    """What a browser asks before it sends this door's method from a page of this origin."""
    asked = {"Origin": origin, "Access-Control-Request-Method": door.method}
    return knock(app, client, door, method="OPTIONS", headers=asked)


class TestOthers:
    def test_find_nothing_behind_an_id_that_its_owner_finds(self, app, sign_in, owner, thief, session):
        """Every route with an id: 404 for somebody else, and something else for the owner, with the same ids."""
        client, elsewhere = sign_in(owner), sign_in(owner)
        ids = belongings(client, elsewhere, session, owner)
        guarded = list(doors(app, lambda door: door.is_ours and bool(door.ids)))
        assert {name for door in guarded for name in door.ids} == set(ids), "a new kind of thing"
        refused = {str(door): knock(app, thief, door, ids) for door in guarded}
        assert {door: answer.status_code for door, answer in refused.items() if answer.status_code != 404} == {}
        assert {answer.json["code"] for answer in refused.values()} == {"not_found"}
        found = {str(door): knock(app, client, door, ids).status_code for door in guarded}
        assert {door: status for door, status in found.items() if status in (401, 403, 404) or status >= 500} == {}

    def test_see_nothing_of_it_in_any_list(self, app, sign_in, owner, thief, session):
        ids = belongings(sign_in(owner), sign_in(owner), session, owner)
        lists = list(doors(app, lambda door: door.is_ours and door.method == "GET" and not door.ids))
        shown = {str(door): knock(app, thief, door).get_data(as_text=True) for door in lists}
        private = {*ids.values(), str(owner.id), owner.email}
        assert {door for door, text in shown.items() if any(secret in text for secret in private)} == set()
        seen = "".join(knock(app, sign_in(owner), door).get_data(as_text=True) for door in lists)
        assert {name for name, value in ids.items() if value not in seen} == {"request_id"}  # which is in no list


class TestAdministration:
    def test_is_not_there_for_anybody_else(self, app, thief, session, owner):
        ids = archives(session, owner)
        inside = list(doors(app, lambda door: door.is_for_administrators))
        assert len(inside) > 3
        answers = {str(door): knock(app, thief, door, ids) for door in inside}
        assert {answer.status_code for answer in answers.values()} == {404}
        assert {answer.json["detail"] for answer in answers.values()} == {NO_SUCH_ADDRESS}

    def test_is_open_to_administrators(self, app, administrator, session, owner):
        ids = archives(session, owner)
        inside = list(doors(app, lambda door: door.is_for_administrators))
        assert {name for door in inside for name in door.ids} <= set(ids), "a new kind of thing"
        found = {str(door): knock(app, administrator, door, ids).status_code for door in inside}
        assert {door: status for door, status in found.items() if status in (401, 403, 404) or status >= 500} == {}

    def test_ends_with_the_role(self, app, administrator, session):
        assert administrator.get("/admin/queues").status_code == 200
        session.execute(update(User).values(role=Role.USER))
        session.commit()
        assert administrator.get("/admin/queues").status_code == 404


class TestMassAssignment:
    def test_nobody_writes_what_is_ours_to_decide(self, app, administrator):
        """Every route that takes a body names each field that it does not list."""
        made_up = dict.fromkeys(OURS_TO_DECIDE, 1)
        writing = doors(
            app, lambda door: door.method in ("POST", "PUT", "PATCH") and door.endpoint != "webhooks.stripe"
        )
        wrong = {}
        for door in writing:
            answer = knock(app, administrator, door, json=made_up)
            named = {error["field"] for error in answer.json.get("errors", [])}
            if answer.status_code != 422 or set(made_up) - named:
                wrong[str(door)] = (answer.status_code, set(made_up) - named)
        assert wrong == {}

    def test_every_schema_of_a_body_refuses_what_it_does_not_list(self, app):
        taken = {view.described.takes for view in app.view_functions.values() if view.described.takes}
        assert len(taken) > 15
        assert {schema for schema in taken if schema().unknown != RAISE} == set()


def test_every_id_in_an_address_is_a_uuid(app):
    for door in doors(app):
        assert set(re.findall(r"<(?!uuid:)(?:(?:int|any\(.*?\)):)?(.*?)>", door.rule.rule)) <= set(NAMES)
