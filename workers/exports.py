"""Build the export of one user's data: a ZIP with a JSON file per table, written row by row to bound memory."""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import orjson
import structlog
from sqlalchemy import ColumnElement, Select, Table, select, tuple_

import models.tables  # noqa: F401  # importing it fills the metadata
from models.base import Base
from models.db import session_scope
from models.errors import NotFound
from models.services.accounts import data_exports

log = structlog.get_logger(__name__)

PART_BYTES = 256 * 1024
MAX_BYTES = 256 * 1024 * 1024  # of the ZIP; `truncated.json` names the tables whose further rows are left out
ROWS = 50  # read at a time; some are a megabyte

# The file of each table, and its hidden columns: secrets, hashes and internal state.
EXPORTED: Mapping[str, tuple[str, frozenset[str]]] = {
    "users": ("profile", frozenset({"password_hash", "token_epoch"})),
    "access_keys": ("access-keys", frozenset({"secret_hash"})),
    "audit_log": ("audit", frozenset()),
    "credit_transactions": ("credits", frozenset({"key"})),
    "credits": ("balance", frozenset({"version"})),
    "invoices": ("invoices", frozenset()),
    "muted_topics": ("muted-notifications", frozenset()),
    "notifications": ("notifications", frozenset({"error", "next_try_at", "key"})),
    "payment_methods": ("payment-methods", frozenset()),
    "provider_api_keys": ("provider-keys", frozenset({"key_id", "nonce", "ciphertext", "enqueued_at"})),
    "purchases": ("purchases", frozenset({"client_secret"})),
    "push_devices": ("devices", frozenset({"token"})),
    "receipts": ("receipts", frozenset()),
    "sessions": ("sessions", frozenset({"epoch", "generation", "refreshed_at"})),
    "subscriptions": ("subscriptions", frozenset()),
    "templates": ("templates", frozenset()),
    "template_reports": ("template-reports", frozenset()),
    "two_factor": (
        "two-factor",
        frozenset({"key_id", "nonce", "ciphertext", "recovery_hashes", "last_step", "failures", "failed_at"}),
    ),
    "workflows": ("workflows", frozenset()),
    "workflow_versions": ("workflow-versions", frozenset()),
    "workflow_schedules": ("schedules", frozenset()),
    "workflow_executions": (
        "runs",
        frozenset({"lease_owner", "lease_expires_at", "epoch", "crash_log", "crash_state", "enqueued_at"}),
    ),
    "node_executions": ("steps", frozenset({"external_ref"})),
    "execution_events": ("events", frozenset()),
}
# Tables that refer to a user and are not exported, with the reason.
LEFT_OUT: Mapping[str, str] = {
    "api_calls": "counted in the runs",
    "billing_alerts": "notes of operators",
    "credit_holds": "in the credits of each run",
    "data_exports": "the export itself",
    "email_links": "kept for days, about links",
    "idempotency_keys": "copies of responses, kept for a day",
    "password_resets": "kept for a day, about links",
    "quarantined_runs": "notes of operators about runs that are in the export",
    "storage_used": "a sum of what is in the export",
    "stripe_requests": "their results are in purchases and subscriptions",
    "unsubscribe_keys": "secrets that sign links",
}
_PARENTS = {
    "workflow_versions": ("workflow_id", "workflows"),
    "node_executions": ("execution_id", "workflow_executions"),
    "execution_events": ("execution_id", "workflow_executions"),
}


class _Parts(io.RawIOBase):
    """A write-only file without seeking, stored in rows of `PART_BYTES`."""

    def __init__(self, export_id: UUID, attempt: int) -> None:
        self._export_id, self._attempt = export_id, attempt
        self._pending, self._number, self.size = bytearray(), 0, 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pending += piece
        self.size += len(piece)
        while len(self._pending) >= PART_BYTES:
            self._keep(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]
        return len(piece)

    def finish(self) -> None:
        """Store the remaining bytes."""
        if self._pending:
            self._keep(bytes(self._pending))
            self._pending.clear()

    def _keep(self, content: bytes) -> None:
        with session_scope() as session:
            data_exports.add_part(session, self._export_id, self._attempt, self._number, content)
        self._number += 1


def build(export_id: UUID) -> Sequence[UUID]:
    """Build an export unless it was built or deleted; return the ids of the notifications to send. Safe to repeat."""
    with session_scope() as session:
        claimed = data_exports.claim(session, export_id)
    if claimed is None:
        return []
    user_id, attempt = claimed
    parts = _Parts(export_id, attempt)
    try:
        _write(parts, user_id)
        parts.finish()
    except NotFound:  # the account was deleted meanwhile, or another worker took over
        log.info("export.dropped", export_id=str(export_id))
        return []
    with session_scope() as session:
        return data_exports.finish(session, export_id, attempt, parts.size)


def _write(parts: _Parts, user_id: UUID) -> None:
    cut = []
    with zipfile.ZipFile(parts, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (file, hidden) in EXPORTED.items():
            with archive.open(f"{file}.json", "w", force_zip64=True) as entry:
                entry.write(b"[")
                for number, row in enumerate(_rows(Base.metadata.tables[name], hidden, user_id)):
                    if parts.size > MAX_BYTES:
                        cut.append(file)
                        break
                    entry.write((b",\n" if number else b"\n") + row)
                entry.write(b"\n]\n")
        if cut:
            archive.writestr("truncated.json", orjson.dumps(cut))


def _rows(table: Table, hidden: frozenset[str], user_id: UUID) -> Iterator[bytes]:
    """Yield each row as JSON, ordered by primary key; each page of rows is read in its own transaction."""
    shown = [column for column in table.columns if column.name not in hidden]
    key = list(table.primary_key)
    mine: Select[tuple[object, ...]] = select(*key, *shown).where(_belongs(table, user_id)).order_by(*key).limit(ROWS)
    page: Select[tuple[object, ...]] | None = mine
    while page is not None:
        with session_scope() as session:
            rows = session.execute(page).all()
        for row in rows:
            found = {_camel(column.name): value for column, value in zip(shown, row[len(key) :], strict=True)}
            yield orjson.dumps(found, default=_plain, option=orjson.OPT_NON_STR_KEYS)
        page = mine.where(tuple_(*key) > tuple_(*rows[-1][: len(key)])) if len(rows) == ROWS else None


def _belongs(table: Table, user_id: UUID) -> ColumnElement[bool]:
    if table.name in _PARENTS:
        column, parent = _PARENTS[table.name]
        owners = Base.metadata.tables[parent]
        return table.c[column].in_(select(owners.c.id).where(owners.c.user_id == user_id))
    if table.name == "audit_log":
        return table.c.subject_id == user_id
    owner = {"users": "id", "templates": "owner_id"}.get(table.name, "user_id")
    return table.c[owner] == user_id


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
