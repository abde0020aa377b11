"""After a restart of the gateway: look a run up in its durable task ledger and transcript."""

from collections.abc import Callable, Mapping
from typing import Any

from models.rules.graph.effects import TextResult
from workers.gateways.base import CallFailed
from workers.gateways.openclaw import classify
from workers.gateways.openclaw.contract import RunRef

LedgerQuery = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def look_up(ask: LedgerQuery, ref: RunRef) -> TextResult | CallFailed:
    """Return the result if the run was completed, else the error that says why not; raises what `ask` raises."""
    task = _task_of(ask("tasks.list", {"sessionKey": ref.session_key}), ref.key)
    said = _said(ask("chat.history", {"sessionKey": ref.session_key}), ref.key)
    if task is not None and task.get("status") == "completed":
        return said if said is not None else classify.RUN_FORGOTTEN.failure()
    return reason(task)


def reason(task: Mapping[str, Any] | None) -> CallFailed:
    """The error for a run that was not completed."""
    if task is None:
        return classify.RUN_FORGOTTEN.failure()
    status = task.get("status")
    if status == "failed":
        return classify.TURN_FAILED.failure(quote=str(task.get("terminalSummary") or ""))
    if status == "timed_out":
        return classify.TIMEOUT.failure()
    if status == "cancelled" and "restart" not in str(task.get("terminalSummary")).lower():
        return classify.ABORTED.failure()
    return classify.RESTARTED.failure()


def _task_of(payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    rows = [row for row in payload.get("tasks") or () if isinstance(row, Mapping)]
    return next((row for row in rows if row.get("runId") == key), None)


def _said(payload: Mapping[str, Any], key: str) -> TextResult | None:
    rows = [row for row in payload.get("messages") or () if isinstance(row, Mapping)]
    own = [row for row in rows if row.get("role") == "assistant" and _run_of(row) == key]
    texts = [text for text in (_text(row.get("content")) for row in own) if text]
    if not texts:
        return None
    model = "/".join(str(own[-1][name]) for name in ("provider", "model") if own[-1].get(name))
    usage = own[-1].get("usage")
    return TextResult("\n\n".join(texts), model or None, classify.usage_of(usage if isinstance(usage, Mapping) else {}))


def _run_of(row: Mapping[str, Any]) -> object:
    mark = row.get("__openclaw")
    return mark.get("runId") if isinstance(mark, Mapping) else None


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))
