"""Users: find, inspect, change, export and delete them."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from manage.deployment import record, transaction, user, vault
from manage.groups import ManageGroup, confirm, confirmed, output
from models.rules.prices.pricing import Tier
from models.services.accounts import account_access, accounts, administration, data_exports, deletions
from models.services.credits import ledger
from models.services.executions import executions
from models.services.stripe import granted_tiers
from models.tables import ExportStatus, Role, User
from tasks.queue import TaskName, enqueue, enqueue_mails

POLL_SECONDS = 1.0
NEWEST = 10
NO_TIER = "none"


@click.group(cls=ManageGroup)
def users() -> None:
    """Find, inspect, change, export and delete users."""


@users.command()
@click.argument("text", required=False)
@click.option("--tier", type=click.Choice([one.value for one in Tier]))
@click.option("--role", type=click.Choice([one.value for one in Role]))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def find(text: str | None, tier: str | None, role: str | None, limit: int) -> None:
    """List users whose address or name contains TEXT, or whose id it is; newest first."""
    with transaction() as session:
        found = administration.users(
            session, q=text, tier=Tier(tier) if tier else None, role=Role(role) if role else None, limit=limit
        )
        output().table([_row(one) for one in found], empty="No user matches.")


@users.command()
@click.argument("who")
def show(who: str) -> None:
    """Show a user, by id or address: balance, subscription tier and newest runs."""
    with transaction() as session:
        one = user(session, who)
        wallet, runs = ledger.balance(session, one.id), executions.list_owned(session, one, limit=NEWEST)
        shown = _row(one) | {"balance": wallet.balance, "held": wallet.held, "verifiedAt": one.email_verified_at}
        newest = [{"id": run.id, "workflow": run.workflow_name, "status": run.status} for run in runs]
    lines = [f"{name}: {value}" for name, value in shown.items()]
    lines += [f"run {run['id']}: {run['status']} ({run['workflow']})" for run in newest]
    output().document(shown | {"runs": newest}, *lines)


@users.command()
@click.argument("who")
def grant(who: str) -> None:
    """Make a user an administrator."""
    _set_role(who, Role.ADMIN)


@users.command()
@click.argument("who")
def revoke(who: str) -> None:
    """Take the role of administrator from a user."""
    _set_role(who, Role.USER)


@users.command()
@click.argument("who")
@click.argument("name", type=click.Choice([*(one.value for one in Tier), NO_TIER]))
@click.option("--reason", required=True, help="A sentence for the audit log.")
def tier(who: str, name: str, reason: str) -> None:
    """Grant a user a tier without payment; `none` leaves the tier to the subscriptions again."""
    with transaction() as session:
        one = user(session, who)
        now = granted_tiers.grant_tier(session, one.id, None if name == NO_TIER else Tier(name))
        record(session, "auth.tier_granted", one.id, tier=name, reason=reason)
    output().document({"id": one.id, "granted": name, "tier": now}, f"{one.email} has the tier {now} now.")


@users.command()
@click.argument("who")
@click.option("--reason", required=True, help="A sentence for the audit log.")
@click.option("--stop-runs", is_flag=True, help="Cancel the user's runs, too.")
def lock(who: str, reason: str, stop_runs: bool) -> None:
    """Lock an account: sessions end, nobody can sign in, access keys are invalid. Subscriptions go on."""
    with transaction() as session:
        one = user(session, who)
        account_access.lock(session, one.id)
        if stop_runs:
            account_access.stop_runs(session, one.id)
        record(session, "auth.account_locked", one.id, reason=reason, runsStopped=stop_runs)
    output().document({"id": one.id, "locked": True}, f"{one.email} is locked.")


@users.command()
@click.argument("who")
def unlock(who: str) -> None:
    """Unlock an account: the user can sign in again, and access keys are valid again."""
    with transaction() as session:
        one = user(session, who)
        account_access.unlock(session, one.id)
        record(session, "auth.account_unlocked", one.id)
    output().document({"id": one.id, "locked": False}, f"{one.email} is unlocked.")


@users.command()
@click.argument("who")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Wait for the ZIP and write it here.")
def export(who: str, to: Path | None) -> None:
    """Let a worker export all data of a user; the user gets a link by mail."""
    with transaction() as session:
        one = user(session, who)
        row = data_exports.request_export(session, one.id)
        record(session, "auth.data_exported", one.id, toFile=to is not None)
        enqueue(session, TaskName.BUILD_EXPORT, export_id=row.id)
    if to is not None:
        size = _download(row.id, to)
        output().document({"id": row.id, "file": str(to), "bytes": size}, f"{to}: {size} bytes.")
        return
    output().document({"id": row.id}, f"The export {row.id} is being built. A link to it goes to {one.email}.")


@users.command()
@click.argument("who")
@click.option("--reason", required=True, help="A sentence for the audit log.")
@confirmed
def delete(who: str, reason: str) -> None:
    """Delete an account: sessions and runs end, a subscription is cancelled, personal data is erased."""
    with transaction() as session:
        one = user(session, who)
        email, user_id = one.email, one.id
    confirm(f"Delete the account of {email} ({user_id}) with all of its data? This cannot be undone.")
    with transaction() as session:
        job, mails = deletions.delete_account(session, user(session, str(user_id)), vault=vault())
        enqueue_mails(session, mails)
        if job:
            enqueue(session, TaskName.STRIPE_REQUEST, request_id=job.id)
        record(session, "auth.account_deleted", user_id, reason=reason)
    output().document({"id": user_id, "deleted": True}, f"The account {user_id} is deleted.")


def _row(one: User) -> dict[str, Any]:
    return {
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "role": one.role,
        "tier": one.subscription_tier,
        "createdAt": one.created_at,
        "lockedAt": one.locked_at,
        "deletedAt": one.deleted_at,
    }


def _set_role(who: str, role: Role) -> None:
    with transaction() as session:
        one = accounts.set_role(session, user(session, who).email, role)
        record(session, "auth.role_changed", one.id, role=role)
    output().document({"id": one.id, "role": role}, f"{one.email} has the role {role} now.")


def _download(export_id: UUID, to: Path) -> int:
    """Wait until a worker has built the export, and write its file; returns its size in bytes."""
    with output().progress(_parts(export_id), f"Exporting to {to}") as parts, to.open("wb") as file:
        return sum(file.write(part) for part in parts)


def _parts(export_id: UUID) -> Any:
    number, built = 0, False
    while True:
        with transaction() as session:
            status = data_exports.status(session, export_id)
            built = built or status is ExportStatus.READY
            part = data_exports.part(session, export_id, number) if built else None
        if status is ExportStatus.FAILED:
            raise click.ClickException("The export failed too often; see the log of worker-billing.")
        if built and part is None:
            return
        if part is not None:
            number += 1
            yield part
        else:
            time.sleep(POLL_SECONDS)
