"""State that survives a crash of the gateway: task rows and transcripts, optionally in a file."""

import json
import uuid
from pathlib import Path

from simulators.openclaw.wire import Payload, now_ms

INTERRUPTED = "Task execution process exited before restart."


class Ledger:
    """Durable rows. With a path every change is written at once, so that SIGKILL loses nothing."""

    def __init__(self, path: str | None = None) -> None:
        self._path = Path(path) if path else None
        self.tasks: dict[str, Payload] = {}
        self.history: dict[str, list[Payload]] = {}
        if self._path and self._path.exists():
            stored = json.loads(self._path.read_text())
            self.tasks, self.history = stored["tasks"], stored["history"]

    def put(self, run_id: str, session_key: str, status: str, summary: str | None = None) -> Payload:
        """Write a task's state; return the row."""
        row = self.tasks.setdefault(run_id, {"id": str(uuid.uuid4()), "runId": run_id, "sessionKey": session_key})
        row.update({"status": status, "updatedAt": now_ms()})
        if summary is not None:
            row["terminalSummary"] = summary
        self._save()
        return dict(row)

    def say(self, session_key: str, row: Payload) -> None:
        """Add a line to a transcript."""
        self.history.setdefault(session_key, []).append({**row, "timestamp": now_ms()})
        self._save()

    def of_session(self, session_key: str | None) -> list[Payload]:
        """Task rows, newest first."""
        rows = [row for row in self.tasks.values() if session_key in (None, row["sessionKey"])]
        return sorted(rows, key=lambda row: -row["updatedAt"])

    def knows_user(self, session_key: str, key: str) -> bool:
        """Whether this session's transcript already contains the prompt with that key."""
        return any(row.get("idempotencyKey") == f"{key}:user" for row in self.history.get(session_key, ()))

    def interrupt(self) -> list[Payload]:
        """Mark running tasks as interrupted after a crash; return the rows that the gateway will continue by itself."""
        broken = [row for row in self.tasks.values() if row["status"] in ("running", "queued")]
        was_running = [dict(row) for row in broken if row["status"] == "running"]
        for row in broken:
            row.update({"status": "cancelled", "terminalSummary": INTERRUPTED, "updatedAt": now_ms()})
        self._save()
        return was_running

    def _save(self) -> None:
        if self._path:
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(json.dumps({"tasks": self.tasks, "history": self.history}))
            temporary.replace(self._path)
