"""The reconciliation with Stripe."""

import sys
from datetime import UTC, datetime
from typing import Any

import click

from manage import programs
from manage.deployment import record, transaction
from manage.groups import ManageCommand, output
from manage.run_options import MomentParam
from models.services.reconciliation import reconciliation
from models.tables import ReconciliationRun, RunKind
from settings import process_settings


@click.command(cls=ManageCommand)
@click.option("--since", type=MomentParam(), help="How far back to compare, such as 2026-11-01 (UTC).")
@click.option("--only", type=click.Choice([one.value for one in RunKind]), help="One part instead of all three.")
@click.option("--dry-run", is_flag=True, help="Report what would be repaired, and change nothing.")
def reconcile(since: datetime | None, only: str | None, dry_run: bool) -> None:
    """Compare Stripe and the database now, and repair what differs. Run it beside worker-billing."""
    if not process_settings().stripe.secret_key:
        raise click.ClickException("This needs STRIPE_SECRET_KEY: run it beside worker-billing.")
    began = datetime.now(UTC)
    with transaction() as session:
        record(session, "reconciliation.requested", since=since and since.isoformat(), only=only, dryRun=dry_run)
    options = ["--dry-run"] * dry_run
    options += ["--since", since.isoformat()] if since else []
    options += ["--only", only] if only else []
    failure = None
    try:
        programs.run([sys.executable, "-m", "tasks.reconciliation", *options])
    except click.ClickException as error:  # the runs are stored, with what could not be compared
        failure = error
    with transaction() as session:
        runs = [run for run in reconciliation.runs(session, limit=10) if run.created_at >= began]
    if failure and not runs:
        raise failure
    output().table([_row(run) for run in runs], empty="Nothing was compared.")
    if failure:
        click.get_current_context().exit(1)


def _row(run: ReconciliationRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "kind": run.kind,
        "status": run.status,
        "compared": run.checked,
        "repaired": run.repaired,
        "reported": run.reported,
        "failed": run.failed,
        "error": run.error,
    }
