"""The console's static files: found at every address of a page, cached by name, and closed to scripts of others."""

import base64
import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api
from api import create_app

ROOT = Path(__file__).parents[3]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
INDEX = '<!doctype html><base href="/console/"><script type="module" src="./assets/index-Bx3kQ9aZ.js"></script>'
SCRIPT = "console.log('the console');" * 50


def get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    """The response, read to its end, which closes the file that it is read from."""
    return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}, buffered=True)


@pytest.fixture
def dist(tmp_path: Path, monkeypatch) -> Path:
    """Where the build of the console goes; it is empty."""
    monkeypatch.setattr(api, "CONSOLE", tmp_path / "dist")
    return tmp_path / "dist"


def build(dist: Path, index: str = INDEX) -> None:
    (dist / "assets").mkdir(parents=True, exist_ok=True)
    (dist / "index.html").write_text(index)
    (dist / "manifest.webmanifest").write_text("{}")
    script = dist / "assets" / "index-Bx3kQ9aZ.js"
    script.write_text(SCRIPT)
    script.with_name(f"{script.name}.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    script.with_name(f"{script.name}.br").write_bytes(b"brotli")


@pytest.fixture
def browser(settings, dist, stranger) -> FlaskClient:
    """A client of an application whose console was built."""
    build(dist)
    return create_app(settings).test_client()


@pytest.mark.parametrize("path", ["/console/", "/console/index.html", "/console/runs/41", "/console/verify"])
def test_every_page_gets_the_index(browser, path):
    answer = get(browser, path)
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "text/html", INDEX)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert get(browser, path, If_None_Match=answer.headers["ETag"]).status_code == 304


def test_allows_no_script_but_its_own_and_the_page_s_first(browser):
    answer = get(browser, "/console/")
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    boot = base64.b64encode(hashlib.sha256((ROOT / "console/src/boot.js").read_bytes()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{boot}' https://js.stripe.com"
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers


def test_insists_on_https_in_production(settings, dist, stranger):
    build(dist)
    answer = get(create_app(replace(settings, environment="production")).test_client(), "/console/")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


@pytest.mark.parametrize(("takes", "encoding"), [("", None), ("gzip", "gzip"), ("gzip, deflate, br", "br")])
def test_assets_are_kept_for_good_and_sent_compressed(browser, takes, encoding):
    answer = get(browser, "/console/assets/index-Bx3kQ9aZ.js", Accept_Encoding=takes)
    assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
    assert answer.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in answer.headers["Vary"]


def test_other_files_are_revalidated(browser):
    answer = get(browser, "/console/manifest.webmanifest")
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/manifest+json", "no-cache")


@pytest.mark.parametrize(
    "path", ["/console/assets/old-1234.js", "/console/assets/", "/console/missing.png", "/console/../settings.py"]
)
def test_what_is_missing_is_a_problem_and_no_page(browser, path):
    answer = get(browser, path)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_cannot_be_changed(browser):
    assert browser.post("/console/").status_code == 405


def test_costs_no_request_of_the_limit(browser):
    assert "RateLimit-Remaining" not in get(browser, "/console/").headers


def test_a_new_build_is_served_at_once(browser, dist):
    assert get(browser, "/console/").text == INDEX
    build(dist, INDEX + "<!-- 2 -->")
    assert get(browser, "/console/").text == INDEX + "<!-- 2 -->"


def test_says_so_if_it_is_not_built(settings, dist, stranger):
    client = create_app(settings).test_client()
    page = get(client, "/console/", Accept=BROWSER)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "make console" in page.text
    problem = get(client, "/console/")
    assert (problem.status_code, problem.mimetype) == (404, "application/problem+json")
    assert problem.json["code"] == "console_not_built"
    build(dist)
    assert get(client, "/console/").status_code == 200


def test_a_browser_is_shown_the_way_to_it(browser):
    answer = get(browser, "/", Accept=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/console/")
    assert get(browser, "/console").headers["Location"] == "/console/"
    for accept in ("application/json", "*/*"):
        assert get(browser, "/", Accept=accept).json["name"] == "AgentForge"


def test_is_found_below_the_path_of_a_proxy(settings, dist, stranger):
    build(dist)
    client = create_app(replace(settings, proxy_hops=1, proxy_prefix_hops=1)).test_client()
    proxied = {"X_Forwarded_Prefix": "/agents", "X_Forwarded_For": "192.0.2.7"}
    page = get(client, "/agents/console/runs/41", **proxied)
    assert '<base href="/agents/console/">' in page.text
    assert "Content-Security-Policy" in page.headers
    assert get(client, "/", **proxied, Accept=BROWSER).headers["Location"] == "/agents/console/"
    assert get(client, "/console", **proxied).headers["Location"] == "/agents/console/"
