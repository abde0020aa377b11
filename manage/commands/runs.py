"""Runs of all users: list them, say why one waits or failed, cancel them and retry them."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from manage.deployment import record, transaction
from manage.groups import ManageGroup, confirm, confirmed, output
from manage.run_options import MAX_AT_ONCE, run_filter
from models.errors import ForgeError
from models.services.executions import all_runs, executions, retries
from models.services.executions.all_runs import RunFilter
from models.tables import Execution, User
from settings import process_settings
from tasks.queue import enqueue_new_run

LAST_EVENTS = 10

Change = Callable[[Session, User, UUID], None]


@click.group(cls=ManageGroup)
def runs() -> None:
    """List, explain, cancel and retry runs of all users."""


@runs.command(name="list")
@run_filter
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_runs(wanted: RunFilter, limit: int) -> None:
    """List runs that users started, newest first."""
    with transaction() as session:
        output().table([_row(run) for run in all_runs.find(session, wanted, limit=limit)], empty="No run matches.")


@runs.command()
@click.argument("run_id", type=click.UUID)
def show(run_id: UUID) -> None:
    """Show a run, its nodes and its last events; not its input and output, which belong to its owner."""
    with transaction() as session:
        run, owner = all_runs.with_owner(session, run_id)
        nodes = [
            {"node": node.node_id, "status": node.status, "attempts": node.attempts, "error": node.error}
            for node in executions.node_states(session, run)
        ]
        events = executions.logs(session, owner, run_id, limit=LAST_EVENTS, after=max(0, run.last_seq - LAST_EVENTS))
        told = [{"at": one.at, "type": one.type, "message": one.message} for one in events]
        shown = _row(run) | {"epoch": run.epoch, "error": run.error, "retryOf": run.retry_of}
    lines = [f"{name}: {value}" for name, value in shown.items()]
    lines += [f"node {one['node']}: {one['status']}, {one['attempts']} attempts" for one in nodes]
    lines += [f"{one['at']:%H:%M:%S} {one['type']}: {one['message']}" for one in told]
    output().document(shown | {"nodes": nodes, "events": told}, *lines)


@runs.command()
@click.argument("run_id", type=click.UUID)
def why(run_id: UUID) -> None:
    """Say why a run does not go on, or why it failed."""
    with transaction() as session:
        run, _ = all_runs.with_owner(session, run_id)
        waits = executions.wait_status(session, run)
        failed = [node for node in executions.node_states(session, run) if node.error]
    error = run.error or {}
    reason = error.get("message") or (waits.waiting_for or {}).get("message")
    document = {
        "id": run.id,
        "status": run.status,
        "reason": reason,
        "waitingFor": waits.waiting_for,
        "queuePosition": waits.queue_position,
        "error": run.error,
        "nodes": {node.node_id: node.error for node in failed},
        "crashes": run.crash_log,
        "worker": run.lease_owner,
    }
    lines = [f"{run.status}: {reason or 'nothing holds it up.'}"]
    if waits.queue_position:
        lines.append(f"It is number {waits.queue_position} in its queue.")
    lines += [f"node {node.node_id}: {node.error.get('message') or node.error}" for node in failed]
    output().document(document, *lines)


@runs.command()
@click.argument("run_ids", type=click.UUID, nargs=-1)
@run_filter
@confirmed
def cancel(run_ids: Sequence[UUID], wanted: RunFilter) -> None:
    """Cancel runs by their ids, or all that match: at once if they are not driven, else through their workers."""
    _change_each("cancel", run_ids, wanted, _cancel)


@runs.command()
@click.argument("run_ids", type=click.UUID, nargs=-1)
@run_filter
@click.option("--repeat", multiple=True, help="A node with `sideEffects: once` that may act again.")
@confirmed
def retry(run_ids: Sequence[UUID], wanted: RunFilter, repeat: Sequence[str]) -> None:
    """Retry ended runs by their ids, or all that match, at their owners' cost; finished results are reused."""
    limits = process_settings().run_limits

    def change(session: Session, owner: User, run_id: UUID) -> None:
        new = retries.retry(session, owner, run_id, repeat=repeat, limits=limits).execution
        record(session, "execution.retried", owner.id, execution=str(run_id), retriedAs=str(new.id))
        enqueue_new_run(session, new)

    _change_each("retry", run_ids, wanted, change)


def _cancel(session: Session, owner: User, run_id: UUID) -> None:
    executions.request_cancel(session, owner, run_id)
    record(session, "execution.cancelled", owner.id, execution=str(run_id))


def _change_each(verb: str, run_ids: Sequence[UUID], wanted: RunFilter, change: Change) -> None:
    """Change each run in a transaction of its own, after a confirmation; the refused ones are reported."""
    if bool(run_ids) is not wanted.is_empty:
        raise click.UsageError("Name runs by their ids, or by at least one option, not both.")
    ids = list(run_ids)
    if not ids:
        with transaction() as session:
            ids = [run.id for run in all_runs.find(session, wanted, limit=MAX_AT_ONCE)]
    confirm(f"{verb.capitalize()} {len(ids)} runs{' (the newest of more)' if len(ids) == MAX_AT_ONCE else ''}?")
    refused: dict[str, str] = {}
    with output().progress(ids, f"{verb} {len(ids)} runs") as bar:
        for run_id in bar:
            try:
                with transaction() as session:
                    _, owner = all_runs.with_owner(session, run_id)
                    change(session, owner, run_id)
            except ForgeError as error:
                refused[str(run_id)] = error.detail
    done = len(ids) - len(refused)
    lines = [f"{run_id}: {detail}" for run_id, detail in refused.items()]
    output().document({"done": done, "refused": refused}, *lines, f"{verb}: {done} done, {len(refused)} refused.")
    if refused:
        click.get_current_context().exit(1)


def _row(run: Execution) -> dict[str, Any]:
    return {
        "id": run.id,
        "user": run.user_id,
        "workflow": run.workflow_name,
        "status": run.status,
        "error": (run.error or {}).get("code"),
        "progress": run.progress,
        "credits": run.credits_charged,
        "worker": run.lease_owner,
        "createdAt": run.created_at,
        "finishedAt": run.finished_at,
    }
