"""One server that speaks the wire formats of OpenAI, Anthropic and Google, and a few endpoints of a public API.

    python -m devstack.ai_simulator --port 8099

Any key works but those with `invalid` in them. Directives in a prompt provoke what providers do now and then:
`[[sim:429]]` (any status), `[[sim:429*2]]` (only the first two times that this prompt comes), `[[sim:delay=2]]`,
`[[sim:hang]]`, `[[sim:half]]` (breaks off in the body), `[[sim:badjson]]`, `[[sim:missing]]` (fields),
`[[sim:length]]`, `[[sim:empty]]` (cut off before any text), `[[sim:refuse]]`, `[[sim:quota]]`, `[[sim:context]]`,
`[[sim:say=...]]` (exactly this text).
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

from devstack.ai_simulator_demo import demo
from devstack.ai_simulator_formats import Asked, Fault, Malformed, Speaker, fault_for, speaker_for, speaker_of, tokens
from devstack.text_facts import describe

DIRECTIVE = re.compile(r"\[\[sim:([a-z0-9]+)(?:=([^\]]*))?(?:\*(\d+))?\]\]")
MAX_BODY = 16 * 1024 * 1024


@dataclass
class AiSimulator:
    """A running simulator: where it is, and what it was asked (method, path, headers with lower-case names)."""

    url: str
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    retry_after: str = ""  # seconds that all refusals for want of room ask for, when set
    room: int | None = None  # calls that each key may have at a time; who comes then is refused with 429
    busy: Counter[str] = field(default_factory=Counter)
    most_busy: int = 0
    refused: int = 0

    @property
    def under_way(self) -> int:
        """Calls that are being answered and whose callers are still there."""
        with self.lock:
            return sum(self.busy.values())

    @property
    def openai(self) -> str:
        """What OPENAI_BASE_URL has to be."""
        return f"{self.url}/openai/v1"

    @property
    def anthropic(self) -> str:
        """What ANTHROPIC_BASE_URL has to be."""
        return f"{self.url}/anthropic/v1"

    @property
    def google(self) -> str:
        """What GOOGLE_BASE_URL has to be."""
        return f"{self.url}/google/v1beta"


@contextmanager
def running_ai_simulator(port: int = 0, host: str = "127.0.0.1") -> Iterator[AiSimulator]:
    """A simulator in this process, on a free port unless one is given, stopped at the end."""
    server = _Server((host, port), _Handler)
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    simulator: AiSimulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth a stack trace."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "AiSimulator"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for headers and body
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the supervisor's log shows what matters."""

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
            self._fault(speaker, Fault(405, speaker.kinds[400], "Use POST.", {}))
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
            return self._fault(speaker, Fault(400, speaker.kinds[400], f"Malformed request: {error}", {}))
        key = speaker.key(headers)
        if not self._enter(key):
            message, headers = "Too many calls at a time.", {"retry-after-ms": "50"}
            return self._fault(speaker, Fault(429, speaker.kinds[429], message, headers))
        try:
            return self._answer(speaker, asked)
        finally:
            with self.server.simulator.lock:
                self.server.simulator.busy[key] -= 1

    def _enter(self, key: str) -> bool:
        """Whether the account has room for one more call."""
        simulator = self.server.simulator
        with simulator.lock:
            if simulator.room is not None and simulator.busy[key] >= simulator.room:
                simulator.refused += 1
                return False
            simulator.busy[key] += 1
            simulator.most_busy = max(simulator.most_busy, simulator.busy[key])
            return True

    def _models(self, speaker: Speaker, headers: dict[str, str]) -> None:
        """Such as a client asks for in order to see whether its key works; keys with `away` in them get a 503."""
        if self._refused(speaker, headers):
            return
        if "away" in speaker.key(headers):
            self._fault(speaker, Fault(503, speaker.kinds[503], "The service is unavailable.", {}))
            return
        name = "models" if speaker.__name__ == "Google" else "data"
        self._send(200, json.dumps({name: [{"id": "simulated", "name": "models/simulated"}]}).encode())

    def _refused(self, speaker: Speaker, headers: dict[str, str]) -> bool:
        key = speaker.key(headers)
        if key and "invalid" not in key:
            return False
        message = f"Incorrect API key provided: {key[:8]}****{key[-4:]}."
        status = 400 if speaker.__name__ == "Google" else 401
        self._fault(speaker, Fault(status, speaker.kinds[401], message, {}))
        return True

    def _answer(self, speaker: Speaker, asked: Asked) -> None:
        text, finish, broken = None, "stop", ""
        for name, value, times in DIRECTIVE.findall(asked.prompt):
            if times and self._count(asked.prompt) > int(times):
                continue
            if name.isdigit() or name in ("quota", "context"):
                return self._fault(speaker, fault_for(speaker, name, asked))
            if name in ("delay", "hang"):
                self._wait(float(value) if name == "delay" else 3600)
            text = value if name == "say" else "" if name in ("empty", "refuse") else text
            finish = {"length": "length", "empty": "length", "refuse": "refuse"}.get(name, finish)
            broken = name if name in ("half", "badjson", "missing") else broken
        said, finish = _cut(describe(asked.prompt) if text is None else text, asked, finish)
        body = json.dumps({} if broken == "missing" else speaker.answer(asked, said, finish)).encode()
        return self._send(200, body, cut=broken == "half", garble=broken == "badjson")

    def _wait(self, seconds: float) -> None:
        """Take so long, or as long as the caller is there."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.server.simulator.stopping.wait(min(left, 0.05)):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError

    def _count(self, prompt: str) -> int:
        simulator = self.server.simulator
        with simulator.lock:
            simulator.seen[prompt] += 1
            return simulator.seen[prompt]

    def _fault(self, speaker: Speaker, fault: Fault) -> None:
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


def _cut(text: str, asked: Asked, finish: str) -> tuple[str, str]:
    """The text within maxTokens, as a model would stop."""
    if finish == "length" and text:
        return text[: max(len(text) // 2, 1)], finish
    if asked.max_tokens is not None and tokens(text) > asked.max_tokens:
        return text[: 4 * asked.max_tokens], "length"
    return text, finish


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Simulated OpenAI, Anthropic, Google and a small public API.")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--host", default="127.0.0.1")
    args = parser.parse_args()
    with running_ai_simulator(args.port, args.host) as simulator:
        print(f"AI simulator at {simulator.url} (openai/v1, anthropic/v1, google/v1beta, demo)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
