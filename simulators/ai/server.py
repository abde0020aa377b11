"""One server with the wire formats of OpenAI, Anthropic and Google, and a few endpoints of a public API.

    python -m simulators.ai.server --port 8099

Any key works except those that contain `invalid`. Directives in a prompt cause faults of providers:
`[[sim:429]]` (any status), `[[sim:429*2]]` (only the first two times for this prompt), `[[sim:delay=2]]`,
`[[sim:hang]]`, `[[sim:half]]` (ends in mid-body), `[[sim:badjson]]`, `[[sim:missing]]` (fields),
`[[sim:length]]`, `[[sim:empty]]` (cut off before any text), `[[sim:refuse]]`, `[[sim:context]]`,
`[[sim:context=minute]]`, `[[sim:rate]]` (a temporary limit),
`[[sim:quota]]` and `[[sim:quota=NAME]]` (used up for good, see `faults`),
`[[sim:error=500]]` (that error with status 200), `[[sim:choice=502]]` (beside a partial response, as routers do),
`[[sim:blank]]`, `[[sim:think]]`, `[[sim:tool]]` (no text, only reasoning, a tool call that was not requested),
`[[sim:emoji]]` (a lone surrogate and a NUL in the text), `[[sim:say=...]]` (exactly this text).
"""

import argparse
import json
import re
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from devstack.servers.ports import port_of_program
from simulators.ai.demo_api import demo
from simulators.ai.faults import fault_for
from simulators.ai.formats import Malformed, ModelFault, ModelRequest, Speaker, speaker_for, speaker_of, tokens
from simulators.text_facts import describe

DIRECTIVE = re.compile(r"\[\[sim:([a-z0-9]+)(?:=([^\]]*?))?(?:\*(\d+))?\]\]")
# Directives for responses without text, with their finish reason.
NO_TEXT = {"empty": "length", "refuse": "refuse", "blank": "stop", "think": "think", "tool": "tool"}
MAX_BODY = 16 * 1024 * 1024


@dataclass
class AiSimulator:
    """A running simulator: its address, and the requests it got (method, path, headers with lower-case names)."""

    url: str
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    retry_after: str = ""  # if set, the Retry-After of refusals for lack of capacity, in seconds
    room: int | None = None  # concurrent calls of each key; further ones get 429
    busy: Counter[str] = field(default_factory=Counter)
    max_busy: int = 0
    refused: int = 0

    @property
    def under_way(self) -> int:
        """The number of calls in progress whose callers are still connected."""
        with self.lock:
            return sum(self.busy.values())

    @property
    def openai(self) -> str:
        """The value for OPENAI_BASE_URL."""
        return f"{self.url}/openai/v1"

    @property
    def anthropic(self) -> str:
        """The value for ANTHROPIC_BASE_URL."""
        return f"{self.url}/anthropic/v1"

    @property
    def google(self) -> str:
        """The value for GOOGLE_BASE_URL."""
        return f"{self.url}/google/v1beta"


@contextmanager
def running_ai_simulator(port: int = 0, host: str = "127.0.0.1") -> Iterator[AiSimulator]:
    """Run a simulator in this process for the block, on a free port unless one is given."""
    server = _ModelServer((host, port), _ModelHandler)
    server.simulator = simulator = AiSimulator(f"http://{host}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield simulator
    finally:
        simulator.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _ModelServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    simulator: AiSimulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class _ModelHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "AiSimulator"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for headers and body
    server: _ModelServer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _handle(self) -> None:
        body = self._body()
        if body is None:
            return
        path, headers = urlsplit(self.path).path, {name.lower(): value for name, value in self.headers.items()}
        with self.server.simulator.lock:
            self.server.simulator.requests.append((self.command, self.path, headers))
            del self.server.simulator.requests[:-1000]
        speaker = speaker_for(path)
        if self.command == "GET" and path.endswith("/models"):
            self._models(speaker_of(headers), headers)
        elif speaker is None:
            answer = demo(self.command, self.path, headers, body)
            self._send(answer.status, answer.body, answer.headers)
        elif self.command != "POST":
            self._fault(speaker, ModelFault(405, speaker.kinds[400], "Use POST.", {}))
        else:
            self._model(speaker, path, headers, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle

    def _body(self) -> bytes | None:
        length = int(self.headers.get("content-length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self._send(413, b'{"error": {"message": "too large"}}')
            return None
        return self.rfile.read(length)

    def _model(self, speaker: Speaker, path: str, headers: dict[str, str], body: bytes) -> None:
        if self._refused(speaker, headers):
            return None
        try:
            asked = speaker.read(path, json.loads(body))
        except (Malformed, KeyError, TypeError, AttributeError, ValueError) as error:
            return self._fault(speaker, ModelFault(400, speaker.kinds[400], f"Malformed request: {error}", {}))
        key = speaker.key(headers)
        if not self._enter(key):
            message, headers = "Too many calls at a time.", {"retry-after-ms": "50"}
            return self._fault(speaker, ModelFault(429, speaker.kinds[429], message, headers))
        try:
            return self._answer(speaker, asked)
        finally:
            with self.server.simulator.lock:
                self.server.simulator.busy[key] -= 1

    def _enter(self, key: str) -> bool:
        """Whether the account may have one more concurrent call."""
        simulator = self.server.simulator
        with simulator.lock:
            if simulator.room is not None and simulator.busy[key] >= simulator.room:
                simulator.refused += 1
                return False
            simulator.busy[key] += 1
            simulator.max_busy = max(simulator.max_busy, simulator.busy[key])
            return True

    def _models(self, speaker: Speaker, headers: dict[str, str]) -> None:
        """Return the list of models, with which clients test their keys; keys that contain `away` get a 503."""
        if self._refused(speaker, headers):
            return
        if "away" in speaker.key(headers):
            self._fault(speaker, ModelFault(503, speaker.kinds[503], "The service is unavailable.", {}))
            return
        name = "models" if speaker.__name__ == "Google" else "data"
        self._send(200, json.dumps({name: [{"id": "simulated", "name": "models/simulated"}]}).encode())

    def _refused(self, speaker: Speaker, headers: dict[str, str]) -> bool:
        key = speaker.key(headers)
        if key and "invalid" not in key:
            return False
        message = f"Incorrect API key provided: {key[:8]}****{key[-4:]}."
        status = 400 if speaker.__name__ == "Google" else 401
        self._fault(speaker, ModelFault(status, speaker.kinds[401], message, {}))
        return True

    def _answer(self, speaker: Speaker, asked: ModelRequest) -> None:
        text, finish, broken = None, "stop", ""
        for name, value, times in DIRECTIVE.findall(asked.prompt):
            if times and self._count(asked.prompt) > int(times):
                continue
            if name.isdigit() or name in ("quota", "rate", "context"):
                return self._fault(speaker, fault_for(speaker, name, asked, value))
            if name in ("error", "choice"):
                return self._error_in_body(speaker, fault_for(speaker, value or "quota", asked), asked, name)
            if name in ("delay", "hang"):
                self._wait(float(value) if name == "delay" else 3600)
            text = value if name == "say" else "" if name in NO_TEXT else text
            text = "Half \ud83d an emoji,\x00 and a whole one \U0001f600" if name == "emoji" else text
            finish = NO_TEXT.get(name) or ("length" if name == "length" else finish)
            broken = name if name in ("half", "badjson", "missing") else broken
        said, finish = _cut(describe(asked.prompt) if text is None else text, asked, finish)
        body = json.dumps({} if broken == "missing" else speaker.answer(asked, said, finish)).encode()
        return self._send(200, body, cut=broken == "half", garble=broken == "badjson")

    def _error_in_body(self, speaker: Speaker, fault: ModelFault, asked: ModelRequest, where: str) -> None:
        """Send an error with status 200, alone or beside a partial response."""
        body = speaker.error(fault)
        if where == "choice":
            answer = speaker.answer(asked, "Half of", "stop")
            answer["choices"][0] |= {
                "finish_reason": "error",
                "error": {"code": fault.status, "message": fault.message},
            }
            body = answer
        self._send(200, json.dumps(body).encode())

    def _wait(self, seconds: float) -> None:
        """Wait so long, or until the caller disconnects."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.server.simulator.stopping.wait(min(left, 0.05)):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError

    def _count(self, prompt: str) -> int:
        simulator = self.server.simulator
        with simulator.lock:
            simulator.seen[prompt] += 1
            return simulator.seen[prompt]

    def _fault(self, speaker: Speaker, fault: ModelFault) -> None:
        headers, wait = dict(fault.headers), self.server.simulator.retry_after
        if wait and (fault.status == 429 or "retry-after" in headers):
            headers = {"retry-after": wait}
        self._send(fault.status, json.dumps(speaker.error(fault)).encode(), headers)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
        garble: bool = False,
    ) -> None:
        body = body[: len(body) // 2] if garble else body
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut
        self.wfile.flush()


def _cut(text: str, asked: ModelRequest, finish: str) -> tuple[str, str]:
    """The text cut off at maxTokens, with its finish reason."""
    if finish == "length" and text:
        return text[: max(len(text) // 2, 1)], finish
    if asked.max_tokens is not None and tokens(text) > asked.max_tokens:
        return text[: 4 * asked.max_tokens], "length"
    return text, finish


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Simulated OpenAI, Anthropic, Google and a small public API.")
    parser.add_argument("--port", type=int, help="default: 8099, or the next free one")
    parser.add_argument("--host", default="127.0.0.1")
    args = parser.parse_args()
    with running_ai_simulator(port_of_program(args.port, 8099), args.host) as simulator:
        print(f"AI simulator at {simulator.url} (openai/v1, anthropic/v1, google/v1beta, demo)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
