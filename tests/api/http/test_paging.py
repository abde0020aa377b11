"""Every list is bounded: a larger limit is reduced to the maximum, and the response says so."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.tables import Role
from tests.support import factories
from tests.support.api.routes import ApiRoute, api_routes, archives, belongings, call_route

# Responses without a place for the limit: a plain array, because the mobile app reads it so, and a part of a value.
WITHOUT_LIMIT = {"invoices.index", "steps.data"}
MORE = {"executions.logs": 1000, "executions.receipt": 1000}  # others have 100 at most


@pytest.fixture
def asked(app: Flask, sign_in, new_user, session) -> tuple[FlaskClient, dict[str, str]]:
    """A client that may ask everywhere, and the ids of what it may ask about."""
    user = new_user("admin@example.com", role=Role.ADMIN)
    client = sign_in(user)
    return client, belongings(client, sign_in(user), session, user) | archives(session, user)


def lists(app: Flask) -> list[ApiRoute]:
    """The routes with a limit, from their descriptions."""
    views = app.view_functions
    queries = {name: getattr(view.described, "query", None) for name, view in views.items()}
    found = list(api_routes(app, lambda route: "limit" in getattr(queries[route.endpoint], "_declared_fields", {})))
    assert len(found) > 12
    return found


def at_every_list(app: Flask, asked, limit: str) -> dict[str, Any]:
    """The answers of all lists, asked for so many items."""
    client, ids = asked
    return {route.endpoint: call_route(app, client, route, ids, query_string={"limit": limit}) for route in lists(app)}


@pytest.mark.parametrize("limit", ["1001", "9" * 40])
def test_more_than_there_may_be_is_as_much_as_there_may_be(app, asked, limit):
    answers = at_every_list(app, asked, limit)
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 200)
    in_force = {name: answer.json["limit"] for name, answer in answers.items() if name not in WITHOUT_LIMIT}
    assert in_force == {name: MORE.get(name, 100) for name in in_force}


@pytest.mark.parametrize("limit", ["0", "-1", "-" + "9" * 40, "many", "", "1.5", "1e3", "+5", "٣"])
def test_what_is_no_number_of_items_is_refused_by_name(app, asked, limit):
    answers = at_every_list(app, asked, limit)
    blamed = {name: (answer.status_code, answer.json["errors"][0]["field"]) for name, answer in answers.items()}
    assert blamed == dict.fromkeys(answers, (422, "limit"))


def test_there_is_no_more_on_the_page_than_the_limit_in_force(client, session, user):
    workflow = factories.workflow(session, user)
    for _ in range(101):
        factories.execution(session, workflow, held=False)
    session.commit()
    page = client.get("/executions?limit=500").json
    assert (page["count"], page["limit"], page["nextCursor"] is not None) == (100, 100, True)
    rest = client.get(f"/executions?limit=500&cursor={page['nextCursor']}").json
    assert (rest["count"], rest["nextCursor"]) == (1, None)
