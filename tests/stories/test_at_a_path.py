"""The story behind our nginx, which shows the API at a path: whatever an answer or a mail links to is below it."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

import pytest

from devstack import control
from devstack.app_client import AppClient
from devstack.servers.ports import free_port
from tests.support.servers.nginx import Nginx
from tests.support.stack.running import running_stack
from tests.test_story import (
    app,
    test_a_cancel_stops_an_agent_that_hangs,
    test_a_new_user_runs_the_content_analysis_and_pays_its_receipt,
    test_killing_every_worker_in_mid_run_loses_and_repeats_nothing,
)

__all__ = [
    "app",
    "test_a_cancel_stops_an_agent_that_hangs",
    "test_a_new_user_runs_the_content_analysis_and_pays_its_receipt",
    "test_killing_every_worker_in_mid_run_loses_and_repeats_nothing",
]
pytestmark = pytest.mark.faults
PATH = "/agents"
MOUNTS = ("/api", "/v1", "")
GRAPH = {"nodes": [{"id": "a", "type": "output", "label": "A"}], "connections": []}


@pytest.fixture(scope="module")
def nginx(server_directory: Path) -> Iterator[Nginx]:
    with Nginx(server_directory / "nginx", free_port(), path=PATH) as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[control.RunningStack]:
    """The whole stack, which its clients know by the proxy's address alone, and by TLS."""
    env = {"PORT": str(nginx.api_port), "APP_URL": nginx.url(), "PROXY_HOPS": "1", "PROXY_PREFIX_HOPS": "1"}
    with running_stack(tmp_path_factory.mktemp("stack"), **env) as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(nginx.certificate))
        yield replace(stack, addresses=stack.addresses | {"api": nginx.url()})


@pytest.fixture(scope="module")
def user(stack: control.RunningStack) -> AppClient:
    """One for all, because nginx's clients share an address, from which only a few may register."""
    app = AppClient(stack.addresses["api"])
    app.verify(stack.addresses["mail"], app.register("user@example.com", "a long password", "User")["email"])
    return app


def ask(url: str, app: AppClient | None = None, body: Any = None, **headers: str) -> tuple[int, Any, str]:
    """The response: status, headers and text."""
    if app:
        headers["Authorization"] = f"Bearer {app.token}"
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        with urlopen(Request(url, data, headers), timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode(errors="replace")
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def linked(text: str) -> set[str]:
    """The addresses in a page that a browser would load or ask."""
    return set(re.findall(r'(?:href|src|data-from|data-posts-to|action)="([^"#]+)"', text))


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_index_below_each_mount_has_working_links(stack: control.RunningStack, nginx: Nginx, mount: str):
    links = json.loads(ask(f"{nginx.url()}{mount}/")[2])["links"]
    assert len(links) > 3
    for link in links.values():
        assert link.startswith(f"{PATH}{mount}/")
        assert ask(urljoin(nginx.url(), link))[0] == 200, link


@pytest.mark.parametrize("mount", MOUNTS)
def test_what_was_made_is_found_where_the_answer_says(user: AppClient, nginx: Nginx, mount: str):
    status, headers, text = ask(f"{nginx.url()}{mount}/workflows", user, {"name": f"At {mount or 'the root'}", **GRAPH})
    assert (status, headers["Location"]) == (201, f"{PATH}{mount}/workflows/{json.loads(text)['workflow']['id']}")
    assert ask(urljoin(nginx.url(), headers["Location"]), user)[0] == 200
    status, headers, text = ask(urljoin(nginx.url(), headers["Location"]) + "/execute", user, {"input": 1})
    run = json.loads(text)
    assert (status, headers["Location"]) == (202, run["statusUrl"])
    assert run["statusUrl"] == f"{PATH}{mount}/executions/{run['id']}"
    links = [value for name, value in run.items() if name.endswith("Url") and value]
    assert len(links) > 1
    assert all(link.startswith(f"{PATH}{mount}/") for link in links)
    events = urljoin(nginx.url(), run["eventsUrl"])
    status, headers, text = ask(events, user, **{"Last-Event-ID": "0"})  # from the beginning, until the run is over
    assert (status, headers.get_content_type()) == (200, "text/event-stream")
    assert "execution.success" in text
    assert json.loads(ask(urljoin(nginx.url(), run["statusUrl"]), user)[2])["status"] == "success"


def test_the_docs_page_and_everything_that_it_loads_are_below_the_path(stack: control.RunningStack, nginx: Nginx):
    status, _, page = ask(f"{nginx.url()}/docs")
    loaded = linked(page)
    assert (status, len(loaded) > 2) == (200, True)
    for link in loaded:
        found = urljoin(f"{nginx.url()}/docs", link)
        assert urlsplit(found).path.startswith(f"{PATH}/"), link
        assert ask(found)[0] == 200, found
    servers = json.loads(ask(f"{nginx.url()}/openapi.json")[2])["servers"]
    assert [server["url"] for server in servers] == [f"{PATH}/api", f"{PATH}/v1", f"{PATH}/"]
    for server in servers:
        assert ask(urljoin(nginx.url(), server["url"]).rstrip("/") + "/health/live")[0] == 200


def test_a_mailed_link_leads_to_its_page_and_the_page_to_the_api(stack: control.RunningStack, nginx: Nginx):
    app, email = AppClient(stack.addresses["api"]), "mailed@example.com"
    app.register(email, "a long password", "Mailed")
    assert app.call("GET", "/credits/balance")["balance"] == 0
    link = mailed_link(stack.addresses["mail"], email)
    assert link.startswith(f"{nginx.url()}/verify#")
    (posts_to,) = linked(ask(link)[2])
    status, _, said = ask(urljoin(link, posts_to), body={"token": link.partition("#")[2]})
    assert status == 200, said
    assert app.call("GET", "/credits/balance")["balance"] > 0


def mailed_link(mail: str, email: str) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        mails = json.loads(ask(f"{mail}/messages.json")[2])["mails"]
        found = [word for one in mails if email in one["to"] for word in one["text"].split() if "/verify#" in word]
        if found:
            return found[-1]
        time.sleep(0.1)
    pytest.fail("no mail came")


def test_what_a_client_says_about_the_path_and_the_host_is_not_believed(stack: control.RunningStack, nginx: Nginx):
    lies = {"X-Forwarded-Prefix": "/evil", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "192.0.2.1"}
    for page in ("/docs", "/openapi.json", "/verify"):
        assert "evil" not in ask(f"{nginx.url()}{page}", **lies)[2]


def test_beside_the_path_there_is_nothing_of_the_api(stack: control.RunningStack, nginx: Nginx):
    bare = nginx.url().removesuffix(PATH)
    for path in ("/api/health", "/health", "/docs", "/agentsx/health"):
        assert ask(bare + path)[0] == 404


def test_refusals_of_nginx_itself_are_problem_documents_here_too(user: AppClient, nginx: Nginx):
    status, headers, text = ask(f"{nginx.url()}/api/workflows", user, {"name": "x" * 1_200_000})
    assert (status, headers.get_content_type()) == (413, "application/problem+json")
    assert json.loads(text)["code"] == "body_too_large"
