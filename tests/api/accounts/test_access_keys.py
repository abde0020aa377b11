"""Access keys: what programs send in place of a token, for what they are allowed and no longer than that."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from api.auth.scopes import RESOURCES, ROUTES, SIGNED_IN, needed_for
from models.rules.prices.pricing import Tier
from models.services.accounts import access_keys
from models.tables import AccessKey, AuditEntry, IdempotencyKey, KeyScope
from tests.support.api.graphs import workflow
from tests.support.api.routes import api_routes, call_route
from tests.support.database.statements import recorded_statements


def make(client, **requested):
    return client.post("/access-keys", json={"name": "Program", **requested})


@pytest.fixture
def program(app, client):
    """Makes clients that send a new key of the user's."""

    def made(*scopes: str, **requested):
        program = app.test_client()
        key = make(client, **({"scopes": list(scopes)} if scopes else {}), **requested).json["key"]
        program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return program

    return made


class TestMaking:
    def test_shows_the_key_once_in_the_form_that_apps_expect(self, client):
        answer = make(client)
        assert answer.status_code == 201
        assert re.fullmatch(r"oc-[A-Za-z0-9]{32}", answer.json["key"])
        shown = answer.json["accessKey"]
        assert set(shown) == {"id", "name", "last4", "scopes", "expiresAt", "lastUsedAt", "createdAt"}
        assert answer.json["key"].endswith(shown["last4"])
        listed = client.get("/access-keys")
        assert listed.json["accessKeys"] == [shown]
        assert answer.json["key"] not in listed.text

    def test_keeps_a_hash_only(self, client, session, engine, events):
        key = client.post("/access-keys", json={"name": "P"}, headers={"Idempotency-Key": "once"}).json["key"]
        client.get("/auth/me", headers={"Authorization": f"Bearer {key}"})
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        stored = {table: str(session.scalars(text(f"SELECT t::text FROM {table} t")).all()) for table in tables}
        assert key[-4:] in stored["access_keys"]
        assert [table for table, rows in stored.items() if key[3:] in rows or key.encode().hex() in rows] == []
        assert key[3:] not in str(events)

    def test_of_a_repeat_makes_no_other_key_and_does_not_show_the_first_again(self, client, session):
        first, again = (
            client.post("/access-keys", json={"name": "P"}, headers={"Idempotency-Key": "once"}) for _ in range(2)
        )
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
        assert again.json == {**first.json, "key": None}
        assert session.scalar(select(func.count()).select_from(AccessKey)) == 1
        assert session.scalars(select(IdempotencyKey)).one().response["body"]["key"] is None

    def test_allows_everything_but_paying_unless_said_otherwise(self, client):
        assert set(make(client).json["accessKey"]["scopes"]) == set(KeyScope) - {KeyScope.BILLING_WRITE}
        wished = ["executions:run", "workflows:read", "workflows:read"]
        assert make(client, scopes=wished).json["accessKey"]["scopes"] == ["workflows:read", "executions:run"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "x" * 101),
            ("scopes", []),
            ("scopes", ["admin"]),
            ("expiresAt", "tomorrow"),
            ("expiresAt", "2020-01-01T00:00:00Z"),
            ("expiresAt", "2100-01-01T00:00:00"),
            ("key", "oc-chosen"),
            ("userId", "x"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, client, field, value):
        answer = make(client, **{field: value})
        assert answer.status_code == 422
        assert answer.json["errors"][0]["field"].split(".")[0] == field

    def test_has_an_end(self, client, session, monkeypatch):
        monkeypatch.setattr(access_keys, "MAX_KEYS", 2)
        statuses = [make(client).status_code for _ in range(3)]
        assert statuses == [201, 201, 409]

    def test_and_deleting_are_written_down(self, client, session):
        made = make(client).json["accessKey"]
        client.delete(f"/access-keys/{made['id']}")
        entries = session.scalars(select(AuditEntry)).all()
        assert {entry.action for entry in entries} == {"access_key.created", "access_key.deleted"}
        assert {entry.data["name"] for entry in entries} == {"Program"}


class TestUsing:
    def test_stands_for_its_user(self, program, user):
        assert program().get("/auth/me").json["user"]["id"] == str(user.id)

    def test_runs_a_workflow(self, program):
        client = program("workflows:write", "executions:run", "executions:read")
        made = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        run = client.post(f"/workflows/{made}/execute", json={}).json["id"]
        assert client.get(f"/executions/{run}").status_code == 200

    def test_takes_one_query(self, program):
        client = program()
        client.get("/auth/me")
        with recorded_statements() as asked:
            client.get("/auth/me")
        assert len(asked) == 1, asked

    def test_is_remembered_once_a_minute(self, program, session):
        client = program()

        def last_used():
            session.expire_all()
            return session.scalar(select(AccessKey.last_used_at))

        assert last_used() is None
        client.get("/auth/me")
        first = last_used()
        client.get("/auth/me")
        assert last_used() == first
        session.execute(update(AccessKey).values(last_used_at=first - timedelta(minutes=1)))
        client.get("/auth/me")
        assert last_used() > first

    def test_is_over_with_its_expiry(self, program, session):
        client = program(expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
        assert client.get("/auth/me").status_code == 200
        session.execute(update(AccessKey).values(expires_at=func.clock_timestamp()))
        session.commit()
        assert client.get("/auth/me").status_code == 401

    def test_is_over_at_once_when_it_is_deleted(self, client, program):
        holder = program()
        (key,) = client.get("/access-keys").json["accessKeys"]
        assert holder.get("/auth/me").status_code == 200
        assert client.delete(f"/access-keys/{key['id']}").status_code == 204
        assert holder.get("/auth/me").status_code == 401
        assert client.delete(f"/access-keys/{key['id']}").status_code == 404

    def test_goes_on_when_its_user_signs_out_everywhere(self, client, program):
        holder = program()
        client.post("/auth/logout")
        assert holder.get("/auth/me").status_code == 200

    def test_counts_toward_the_limit_of_its_user(self, client, program):
        holder = program()
        before = int(client.get("/auth/me").headers["RateLimit-Remaining"])
        assert int(holder.get("/auth/me").headers["RateLimit-Remaining"]) == before - 1

    @pytest.mark.parametrize("key", ["oc-", "oc-" + "x" * 32, "oc-" + "x" * 5000, "oc-\xff", "oc-a b"])
    def test_that_does_not_exist_is_refused(self, stranger, key):
        assert stranger.get("/auth/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401

    def test_is_logged_by_its_id(self, program, events):
        program().get("/auth/me")
        told = [entry for entry in events if entry["event"] == "request.served"]
        assert "access_key_id" not in told[0]
        assert told[1]["access_key_id"]


class TestScopes:
    def test_every_resource_is_in_the_table_or_for_people(self, app):
        """A new resource is closed to keys until it is assigned a scope."""
        resources = {route.endpoint.partition(".")[0] for route in api_routes(app, lambda route: route.is_ours)}
        assert resources == set(RESOURCES)
        assert set(ROUTES) <= {route.endpoint for route in api_routes(app)}

    def test_open_what_they_say_and_nothing_else(self, app, new_user, sign_in):
        """Every route with a key of one scope, whose user may ask often."""
        owner = sign_in(new_user("owner@example.com", tier=Tier.ENTERPRISE))
        holder = app.test_client()
        key = make(owner, scopes=["executions:run"]).json["key"]
        holder.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        inside = list(api_routes(app, lambda route: not route.is_public))
        answers = [(route.endpoint, call_route(app, holder, route)) for route in inside]
        refused = {answer.json["code"] for _, answer in answers if answer.status_code == 403}
        assert refused == {"insufficient_scope"}
        opened = {endpoint for endpoint, answer in answers if answer.status_code != 403}
        assert opened == {
            *("auth.me", "workflows.execute", "usage.track"),
            *(f"executions.{entry}" for entry in ("approve", "cancel", "resume", "retry")),
            *("bulk_executions.cancel", "bulk_executions.retry"),
        }

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/access-keys"),
            ("GET", "/access-keys"),
            ("POST", "/auth/change-password"),
            ("PUT", "/auth/profile"),
            ("POST", "/auth/refresh"),
            ("POST", "/auth/logout"),
            ("GET", "/auth/sessions"),
            ("DELETE", "/auth/sessions"),
            ("PUT", "/api-keys/openai"),
            ("POST", "/devices"),
            ("GET", "/admin/queues"),
        ],
    )
    def test_never_open_what_is_for_people(self, program, method, path):
        answer = program(*(scope.value for scope in KeyScope)).open(path, method=method, json={})
        assert (answer.status_code, answer.json["code"]) == (403, "insufficient_scope")

    def test_do_not_prevent_signing_in(self, program):
        answer = program().post("/auth/login", json={"email": "nobody@example.com", "password": "wrong"})
        assert answer.json["code"] == "wrong_credentials"

    def test_administration_is_for_people(self, app):
        inside = list(api_routes(app, lambda route: route.is_for_administrators))
        assert {needed_for(route.endpoint, route.method) for route in inside} == {SIGNED_IN}
