"""The API as the mobile app uses it: a bearer token, JSON, and long polls until a run is over."""

import http.client
import json
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPHandler, OpenerDirector, Request, build_opener

from models.serialization import Json

FINAL_STATUSES = ("success", "failed", "cancelled")


class AppClientError(Exception):
    """The API responded with an error; the message is its own sentence, with the fields that it names."""

    def __init__(self, status: int, problem: dict[str, Json]) -> None:
        fields = "".join(f"\n  {error['field']}: {error['message']}" for error in problem.get("errors", []))
        super().__init__(f"{problem.get('detail', 'no detail')} (HTTP {status}, {problem.get('code')}){fields}")
        self.status = status
        self.code = problem.get("code")


class _From(HTTPHandler):
    """Connects from one of this host's addresses."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._connection = partial(http.client.HTTPConnection, source_address=(address, 0))

    def http_open(self, request: Request) -> http.client.HTTPResponse:
        """Send the request."""
        return self.do_open(self._connection, request)


def _opener(url: str) -> OpenerDirector:
    """Give each client of a local stack its own source address, because sign-ups are limited by address.

    Only Linux lets every address of 127.0.0.0/8 be used.
    """
    if sys.platform != "linux" or urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
        return build_opener()
    return build_opener(_From("127." + ".".join(str(1 + secrets.randbelow(254)) for _ in range(3))))


@dataclass
class AppClient:
    """A signed-in (after `register`) client of the API at `url`."""

    url: str
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._open = _opener(self.url).open

    def call(self, method: str, path: str, body: Json = None) -> Json:
        """Send one request; raises `AppClientError` for every response but success."""
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = Request(f"{self.url}/api{path}", data=data, headers=headers, method=method)
        try:
            with self._open(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            with error:
                raise AppClientError(error.code, _problem(error.read())) from None

    def register(self, email: str, password: str, name: str) -> Json:
        """Create an account, and keep its token."""
        answer = self.call("POST", "/auth/register", {"email": email, "password": password, "name": name})
        self.token = answer["token"]
        return answer["user"]

    def log_in(self, email: str, password: str) -> None:
        """Sign in to an account, and keep the token."""
        self.token = self.call("POST", "/auth/login", {"email": email, "password": password})["token"]

    def verify(self, mail: str, email: str, seconds: float = 30) -> None:
        """Follow the link that was mailed to `email`, as soon as the mail catcher at `mail` has it."""
        until = time.monotonic() + seconds
        while (token := _mailed_token(mail, email)) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"No link for {email} arrived at {mail}.")
            time.sleep(0.1)
        self.call("POST", "/auth/verify", {"token": token})

    def instantiate(self, template_name: str) -> Json:
        """Save a workflow made from the gallery's template of that name."""
        gallery = self.call("GET", "/templates")["templates"]
        template = next(t for t in gallery if t["name"].lower() == template_name.lower())
        return self.call("POST", f"/templates/{template['id']}/instantiate", {})["workflow"]

    def save(self, name: str, graph: Json) -> Json:
        """Save a workflow; one of the same name gets a new version."""
        if known := self.workflow(name):
            return self.call("PUT", f"/workflows/{known['id']}", graph)["workflow"]
        return self.call("POST", "/workflows", {"name": name, **graph})["workflow"]

    def workflow(self, name: str) -> Json | None:
        """The workflow of that name, if there is one."""
        found = self.call("GET", f"/workflows?{urlencode({'q': name})}")["workflows"]
        return next((workflow for workflow in found if workflow["name"] == name), None)

    def execute(self, workflow_id: str, value: Json) -> str:
        """Submit a run; return its id."""
        return str(self.call("POST", f"/workflows/{workflow_id}/execute", {"input": value})["executionId"])

    def watch(self, execution_id: str, pause: float = 0.2) -> Iterator[Json]:
        """Yield the run's state, at first and after each change, until it is over."""
        path = f"/executions/{execution_id}"
        state = self.call("GET", path)
        yield state
        while state["status"] not in FINAL_STATUSES:
            time.sleep(pause)
            pause = min(pause * 1.2, 1.0)  # a free account may ask once a second on average
            state = self.call("GET", f"{path}?wait=25&since={state['seq']}")
            yield state


def _mailed_token(mail: str, email: str) -> str | None:
    """The token in the newest link that was mailed to this address."""
    with build_opener().open(f"{mail}/messages.json", timeout=30) as answer:
        mails = json.loads(answer.read())["mails"]
    texts = [found["text"] for found in mails if email in found["to"]]
    tokens = [word.partition("#")[2] for text in texts for word in text.split() if "/verify#" in word]
    return tokens[-1] if tokens else None


def _problem(body: bytes) -> dict[str, Json]:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": body[:200].decode(errors="replace")}
