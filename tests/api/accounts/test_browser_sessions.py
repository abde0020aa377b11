"""Sessions of browsers: cookies that no script reads, and a CSRF token that no page of a stranger's has."""

from dataclasses import replace

import pytest

from api import create_app
from api.limits.rate_limits import BY_TIER
from models.rules.prices.pricing import Tier
from tests.api.conftest import ORIGIN, token_of
from tests.support.api import two_factor
from tests.support.api.routes import api_routes, call_route
from tests.support.api.two_factor import log_in

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
SIGN_IN = {"email": ADA["email"], "password": ADA["password"], "session": "cookie"}
PASSWORD = two_factor.ADA["password"]
STRANGERS_SITE = "https://attacker.example"


@pytest.fixture
def browser(stranger):
    """A browser in which Ada registered."""
    assert stranger.post("/auth/register", json={**ADA, "session": "cookie"}).status_code == 201
    return stranger


def csrf(browser) -> dict[str, str]:
    return {"X-CSRF-TOKEN": browser.get_cookie("agentforge_csrf").value}


def cookies_of(response) -> dict[str, str]:
    """The attributes of each cookie that the response sets, by its name."""
    found = [line.partition("=") for line in response.headers.getlist("Set-Cookie")]
    return {name: rest.partition("; ")[2] for name, _, rest in found}


class TestSigningIn:
    def test_puts_the_token_into_a_cookie_that_no_script_reads(self, stranger):
        answer = stranger.post("/auth/register", json={**ADA, "session": "cookie"})
        assert list(answer.json) == ["user"]
        found = cookies_of(answer)
        day = "Max-Age=86400"
        assert day in found["agentforge_session"]
        assert found["agentforge_session"].endswith("HttpOnly; Path=/; SameSite=Strict")
        assert found["agentforge_csrf"].endswith(f"{day}; Path=/; SameSite=Strict")

    def test_needs_tls_and_the_host_itself_in_production(self, app, settings, stranger, monkeypatch):
        secured = create_app(replace(settings, environment="production")).test_client()
        answer = secured.post("/auth/register", json={**ADA, "session": "cookie"})
        found = cookies_of(answer)
        assert set(found) == {"__Host-agentforge_session", "agentforge_csrf"}
        assert all("Secure;" in attributes and "Domain" not in attributes for attributes in found.values())

    def test_sets_no_cookie_for_a_client_that_does_not_ask_for_one(self, stranger):
        answer = stranger.post("/auth/register", json=ADA)
        assert answer.json["token"]
        assert "Set-Cookie" not in answer.headers
        login = stranger.post("/auth/login", json={"email": ADA["email"], "password": ADA["password"]})
        assert login.json["token"]
        assert "Set-Cookie" not in login.headers

    def test_takes_the_second_factor_like_any_sign_in(self, account, stranger):
        refused = log_in(stranger, session="cookie")
        assert (refused.status_code, refused.json["code"]) == (401, "two_factor_required")
        assert "Set-Cookie" not in refused.headers
        assert log_in(stranger, session="cookie", code=account.phone.code()).status_code == 200
        assert stranger.delete("/auth/me", json={"password": PASSWORD}, headers=csrf(stranger)).status_code == 403
        assert stranger.get("/auth/me").status_code == 200

    def test_replaces_cookies_that_are_worth_nothing(self, stranger):
        stranger.post("/auth/register", json=ADA)
        stranger.set_cookie("agentforge_session", "nonsense")
        assert stranger.get("/auth/me").json["code"] == "not_authenticated"
        assert stranger.post("/auth/login", json=SIGN_IN).status_code == 200
        assert stranger.get("/auth/me").json["user"]["name"] == "Ada"


class TestACookie:
    def test_counts_as_a_token_does(self, browser):
        assert browser.get("/auth/me").json["user"]["email"] == ADA["email"]
        listed = browser.get("/auth/sessions").json["sessions"]
        assert [session["current"] for session in listed] == [True]
        key = browser.post("/access-keys", json={"name": "Program"}, headers=csrf(browser))
        assert key.status_code == 201

    def test_is_counted_by_the_limit_of_its_user(self, browser):
        limit = browser.get("/auth/me").headers["RateLimit-Limit"]
        assert BY_TIER[Tier.FREE].startswith(f"{limit} ")

    def test_stops_working_when_its_session_is_ended(self, app, browser):
        session_id = browser.get("/auth/sessions").json["sessions"][0]["id"]
        other = app.test_client()
        other.post("/auth/login", json=SIGN_IN)
        assert other.delete(f"/auth/sessions/{session_id}", headers=csrf(other)).status_code == 204
        assert browser.get("/auth/me").status_code == 401
        assert other.get("/auth/me").status_code == 200

    def test_gives_way_to_a_token_in_the_header(self, app, browser, other):
        """The header decides alone: neither a bad one nor that of another user falls back to the cookie."""
        header = {"Authorization": f"Bearer {token_of(app, other)}"}
        assert browser.get("/auth/me", headers=header).json["user"]["email"] == "eve@example.com"
        assert browser.post("/auth/logout", headers=header).status_code == 200
        assert browser.get("/auth/me").json["user"]["email"] == ADA["email"]
        assert browser.get("/auth/me", headers={"Authorization": "Bearer nonsense"}).status_code == 401

    def test_is_refreshed_in_the_cookies_and_never_shown(self, browser):
        before = browser.get_cookie("agentforge_session").value
        for body in ({}, {"session": "bearer"}):
            answer = browser.post("/auth/refresh", json=body, headers=csrf(browser))
            assert (answer.status_code, answer.json) == (200, {})
        assert browser.get_cookie("agentforge_session").value != before
        assert browser.get("/auth/me").status_code == 200

    def test_takes_over_the_session_of_a_token(self, stranger):
        token = stranger.post("/auth/register", json=ADA).json["token"]
        header = {"Authorization": f"Bearer {token}"}
        assert stranger.post("/auth/refresh", json={"session": "cookie"}, headers=header).json == {}
        assert stranger.get("/auth/me").json["user"]["name"] == "Ada"

    def test_is_removed_by_signing_out(self, browser):
        taken = browser.get_cookie("agentforge_session").value
        assert browser.post("/auth/logout", headers=csrf(browser)).status_code == 200
        assert browser.get_cookie("agentforge_session") is None
        assert browser.get_cookie("agentforge_csrf") is None
        browser.set_cookie("agentforge_session", taken)
        assert browser.get("/auth/me").status_code == 401


class TestAStrangersSite:
    """A page of another origin whose requests carry the cookies, as if the browser knew no SameSite."""

    def test_changes_nothing_by_any_unsafe_method(self, app, browser):
        for route in api_routes(app, lambda route: not route.is_public and route.method != "GET"):
            answer = call_route(app, browser, route, headers={"Origin": STRANGERS_SITE})
            assert answer.json["code"] == "csrf_failed", route
        assert browser.get("/auth/me").json["user"]["name"] == "Ada"

    @pytest.mark.parametrize("wrong", ["", "nonsense", "another"])
    def test_guesses_no_csrf_token(self, app, browser, wrong):
        """Nor does the CSRF token of another session help, such as one of the attacker's own."""
        attacker = app.test_client()
        attacker.post("/auth/register", json={**ADA, "email": "eve@example.com", "session": "cookie"})
        sent = {"X-CSRF-TOKEN": csrf(attacker)["X-CSRF-TOKEN"] if wrong == "another" else wrong}
        refused = browser.put("/auth/profile", json={"name": "Owned"}, headers=sent)
        assert (refused.status_code, refused.json["code"]) == (403, "csrf_failed")
        assert browser.get("/auth/me").json["user"]["name"] == "Ada"

    def test_plants_no_csrf_cookie_that_would_be_believed(self, browser):
        """The header is compared with the claim in the signed token, not with the cookie beside it."""
        browser.set_cookie("agentforge_csrf", "planted")
        refused = browser.put("/auth/profile", json={"name": "Owned"}, headers={"X-CSRF-TOKEN": "planted"})
        assert refused.json["code"] == "csrf_failed"

    def test_reads_nothing(self, browser):
        """No origin is allowed credentials, not even one that may read responses to its own tokens."""
        for origin in (STRANGERS_SITE, ORIGIN):
            answer = browser.get("/auth/me", headers={"Origin": origin})
            assert "Access-Control-Allow-Credentials" not in answer.headers
        preflight = browser.options("/auth/profile", headers={"Origin": ORIGIN})
        assert "X-CSRF-TOKEN" not in preflight.headers["Access-Control-Allow-Headers"].upper()

    def test_signs_nobody_in_with_a_form(self, stranger):
        """A form can send text, and no JSON, so that a victim cannot be signed in to the attacker's account."""
        stranger.post("/auth/register", json=ADA)
        form = '{"email": "ada@example.com", "password": "correct horse", "session": "cookie"}'
        for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = stranger.post("/auth/login", data=form, content_type=media, headers={"Origin": STRANGERS_SITE})
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (415, False)


def test_a_verified_cookie_is_not_believed_as_a_header_of_the_same_text(app, browser):
    """What one kind of credential has verified is remembered for that kind only."""
    cookie = browser.get_cookie("agentforge_session").value
    browser.get("/auth/me")
    assert app.test_client().get("/auth/me", headers={"Authorization": cookie}).status_code == 401
