"""A model for a real gateway: an OpenAI-compatible provider with the simulator's answers and directives.

python -m simulators.openclaw.model --port 18799
"""

import argparse
import json
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulators.openclaw import canned_answers
from simulators.openclaw.directives import FAILURES, Directives, parse


class ModelProvider(BaseHTTPRequestHandler):
    """`POST /v1/chat/completions`, streamed or not."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompts = [_text(part["content"]) for part in request["messages"] if part["role"] == "user"]
        directives = parse(prompts[-1] if prompts else "", Counter())
        if directives.failure:
            status, kind, *_ = FAILURES[directives.failure]
            self._send(
                status, json.dumps({"error": {"message": f"provider failure {directives.failure}", "type": kind}})
            )
            return
        time.sleep(10**5 if directives.has("hang") else directives.number("delay", 0.05))
        text = directives.text("reply") or canned_answers.canned_answer(directives.prompt)
        if request.get("stream"):
            self._stream(text, directives)
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self._send(200, json.dumps({**_frame(), "object": "chat.completion", "choices": [choice], "usage": USAGE}))

    def _stream(self, text: str, directives: Directives) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]})
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": USAGE})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps({**_frame(), **data}).encode() + b"\n\n")

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        print(f"model: {format % args}", flush=True)


USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def _frame() -> dict[str, Any]:
    return {"id": "chatcmpl-model", "object": "chat.completion.chunk", "created": int(time.time()), "model": "sim-1"}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m simulators.openclaw.model")
    parser.add_argument("--port", type=int, default=18799)
    args = parser.parse_args()
    ThreadingHTTPServer(("127.0.0.1", args.port), ModelProvider).serve_forever()


if __name__ == "__main__":
    main()
