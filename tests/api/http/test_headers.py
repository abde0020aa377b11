"""Headers of every response, below every mount."""

from dataclasses import replace

import pytest

from api import create_app
from tests.api.conftest import ORIGIN


class TestMounts:
    @pytest.mark.parametrize("mount", ["/api", "/v1", "/api/v1", ""])
    def test_the_same_routes_answer_behind_each(self, client, mount):
        assert client.get(f"{mount}/auth/me").status_code == 200

    @pytest.mark.parametrize(
        "path", ["/apis/auth/me", "/api/api/auth/me", "//auth/me", "/apis", "/api/api", "/v2/auth/me"]
    )
    def test_other_prefixes_are_not_found(self, client, path):
        assert client.get(path).status_code == 404

    def test_a_slash_at_the_end_does_not_matter(self, client):
        assert client.get("/api/auth/me/").status_code == 200


class TestRequestId:
    def test_a_sane_one_is_kept(self, stranger):
        answer = stranger.get("/health/live", headers={"X-Request-ID": "phone-7.1_a"})
        assert answer.headers["X-Request-ID"] == "phone-7.1_a"

    @pytest.mark.parametrize("requested", ["", "a b", "x" * 65, "<script>", "é"])
    def test_another_is_replaced(self, stranger, requested):
        answer = stranger.get("/health/live", headers={"X-Request-ID": requested})
        assert len(answer.headers["X-Request-ID"]) == 32


class TestLog:
    @pytest.mark.parametrize("name", ["user_id", "status", "event", "execution_id"])
    def test_a_route_may_call_its_argument_what_it_likes(self, settings, events, name):
        app = create_app(settings)
        app.add_url_rule(f"/things/<{name}>", view_func=lambda **asked: asked)
        assert app.test_client().get("/things/7").json == {name: "7"}
        (line,) = [line for line in events if line["event"] == "request.served"]
        assert (line["status"], line["route"], line["user_id"]) == (200, f"/things/<{name}>", None)
        assert line[name if name == "execution_id" else f"route_{name}"] == "7"

    @pytest.mark.parametrize("asked", ["ada@example.com", "x" * 65, "a b", "\u2028"])
    def test_names_ids_and_no_other_text_in_paths(self, settings, events, asked):
        app = create_app(settings)
        app.add_url_rule("/things/<thing_id>", view_func=lambda **asked: asked)
        assert app.test_client().get(f"/things/{asked}").json == {"thing_id": asked}
        (line,) = [line for line in events if line["event"] == "request.served"]
        assert "thing_id" not in line


class TestBrowsers:
    def test_nothing_is_sniffed_or_stored(self, client):
        answer = client.get("/auth/me")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_only_origins_that_we_name_may_read(self, client):
        ours = client.get("/auth/me", headers={"Origin": ORIGIN})
        assert ours.headers["Access-Control-Allow-Origin"] == ORIGIN
        for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "null", ORIGIN.upper()):
            answer = client.get("/auth/me", headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Vary"] == "Origin"

    def test_a_preflight_is_answered_without_a_token(self, stranger):
        answer = stranger.options("/workflows", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
        assert answer.status_code == 200
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]

    def test_refusals_can_be_read_by_our_origins_too(self, stranger):
        answer = stranger.get("/auth/me", headers={"Origin": ORIGIN})
        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN

    def test_production_insists_on_https(self, settings, stranger):
        production = create_app(replace(settings, environment="production")).test_client()
        assert "max-age" in production.get("/health/live").headers["Strict-Transport-Security"]
        assert "Strict-Transport-Security" not in stranger.get("/health/live").headers
