"""Behind a proxy that shows the API at a path, whatever an answer links to is below that path."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from api import create_app
from settings import Settings
from tests.api.conftest import token_of
from tests.support import factories
from variables import SettingsError

AGENTS = {"X-Forwarded-Prefix": "/agents", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}


@pytest.fixture
def mounted(settings, session, redis_url, sent) -> FlaskClient:
    return create_app(replace(settings, proxy_hops=1, proxy_prefix_hops=1)).test_client()


@pytest.fixture
def login(app, new_user) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(app, new_user('mounted@example.com'))}"}


def test_a_run_and_a_workflow_are_found_where_the_answers_say(mounted, login):
    graph = {"nodes": [factories.node("a", "output")], "connections": []}
    for mount in ("/api", "/v1", ""):
        made = mounted.post(f"{mount}/workflows", json={"name": "W", **graph}, headers=login | AGENTS)
        assert made.status_code == 201, made.json
        address = f"/agents{mount}/workflows/{made.json['workflow']['id']}"
        assert made.headers["Location"] == address
        run = mounted.post(
            f"{address}/execute", json={"input": 1}, headers=login | AGENTS
        )  # the proxy may keep the path
        assert run.headers["Location"] == run.json["statusUrl"] == f"/agents{mount}/executions/{run.json['id']}"
        assert run.json["eventsUrl"].startswith(f"/agents{mount}/")
        assert mounted.get(run.json["statusUrl"], headers=login | AGENTS).json["id"] == run.json["id"]


def test_the_description_and_its_page_are_below_the_path(mounted):
    servers = mounted.get("/api/openapi.json", headers=AGENTS).json["servers"]
    assert [server["url"] for server in servers] == ["/agents/api", "/agents/v1", "/agents/"]
    page = mounted.get("/docs", headers=AGENTS).text
    assert 'data-from="/agents/openapi.json"' in page
    assert 'src="/agents/docs/start.js"' in page
    plain = mounted.get("/api/openapi.json").json["servers"]
    assert [server["url"] for server in plain] == ["/api", "/v1", "/"]


def test_the_first_page_links_below_the_path(mounted):
    for mount in ("", "/api", "/v1"):
        for slash in ("", "/"):
            links = mounted.get(f"{mount}{slash}" or "/", headers=AGENTS).json["links"]
            assert links["docs"] == f"/agents{mount}/docs"
            for name in ("docs", "openapi", "live"):
                assert mounted.get(links[name], headers=AGENTS).status_code == 200
    assert mounted.get("/agents", headers=AGENTS).json["links"]["openapi"] == "/agents/openapi.json"


@pytest.mark.parametrize(
    "told", ["//evil.example", "/a//b", "javascript:x", "/a b", "/" + "a" * 300, "/ä", "/%0d%0aX:y"]
)
def test_what_cannot_be_a_path_of_ours_is_not_believed(mounted, told):
    page = mounted.get("/docs", headers={"X-Forwarded-Prefix": told.encode().decode("latin-1")}).text
    assert 'data-from="/openapi.json"' in page


def test_a_prefix_from_an_unknown_proxy_is_ignored(settings, session, redis_url):
    for hops in ({}, {"proxy_hops": 1}):
        client = create_app(replace(settings, **hops)).test_client()
        assert 'data-from="/openapi.json"' in client.get("/docs", headers=AGENTS).text


def test_more_hops_for_the_path_than_there_are_proxies_stop_the_start():
    with pytest.raises(SettingsError):
        Settings.from_env({"AGENTFORGE_ENV": "test", "PROXY_PREFIX_HOPS": "1"})
