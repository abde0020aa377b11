"""The API as the mobile app uses it: a bearer token, JSON, and long polls until a run is over."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Json = Any
OVER = ("success", "failed", "cancelled")


class Refused(Exception):
    """The API said no; the message is its own sentence, with the fields it names."""

    def __init__(self, status: int, problem: dict[str, Json]) -> None:
        fields = "".join(f"\n  {error['field']}: {error['message']}" for error in problem.get("errors", []))
        super().__init__(f"{problem.get('detail', 'no detail')} (HTTP {status}, {problem.get('code')}){fields}")
        self.status = status
        self.code = problem.get("code")


@dataclass
class App:
    """A signed-in (after `register`) client of the API at `url`."""

    url: str
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: Json = None) -> Json:
        """One request; raises `Refused` for everything but success."""
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = Request(f"{self.url}/api{path}", data=data, headers=headers, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            with error:
                raise Refused(error.code, _problem(error.read())) from None

    def register(self, email: str, password: str, name: str) -> Json:
        """Make an account, and keep its token."""
        answer = self.call("POST", "/auth/register", {"email": email, "password": password, "name": name})
        self.token = answer["token"]
        return answer["user"]

    def instantiate(self, template_name: str) -> Json:
        """Save a workflow made from the gallery's template of that name."""
        gallery = self.call("GET", "/templates")["templates"]
        template = next(t for t in gallery if t["name"].lower() == template_name.lower())
        return self.call("POST", f"/templates/{template['id']}/instantiate", {})["workflow"]

    def save(self, name: str, graph: Json) -> Json:
        """Save a workflow."""
        return self.call("POST", "/workflows", {"name": name, **graph})["workflow"]

    def execute(self, workflow_id: str, value: Json) -> str:
        """Submit a run; answers its id."""
        return str(self.call("POST", f"/workflows/{workflow_id}/execute", {"input": value})["executionId"])

    def watch(self, execution_id: str, pause: float = 0.2) -> Iterator[Json]:
        """The run's state, at first and after each change, until it is over."""
        path = f"/executions/{execution_id}"
        state = self.call("GET", path)
        yield state
        while state["status"] not in OVER:
            time.sleep(pause)
            pause = min(pause * 1.2, 1.0)  # a free account may ask once a second on average
            state = self.call("GET", f"{path}?wait=25&since={state['seq']}")
            yield state


def _problem(body: bytes) -> dict[str, Json]:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": body[:200].decode(errors="replace")}
