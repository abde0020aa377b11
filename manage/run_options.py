"""The options that choose runs, for every command that takes a filter."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import click

from manage.deployment import transaction, user
from models.rules.executions.states import ExecutionStatus
from models.rules.values.moments import parse_moment
from models.services.executions.all_runs import RunFilter

MAX_AT_ONCE = 10_000  # runs of one command


class MomentParam(click.ParamType[datetime, str]):
    """A moment in UTC, such as 2026-11-01 or 2026-11-01T12:00:00Z."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse a moment, or fail with a sentence."""
        try:
            return parse_moment(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def run_filter(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a `RunFilter` to a command, which gets it as `wanted`."""

    @wraps(command)
    def run(
        *args: Any, owner: str | None, workflow_id: Any, status: str | None, code: str | None, **others: Any
    ) -> Any:
        with transaction() as session:
            user_id = user(session, owner).id if owner else None
        wanted = RunFilter(
            user_id=user_id,
            workflow_id=workflow_id,
            status=ExecutionStatus(status) if status else None,
            error_code=code,
            worker=others.pop("worker"),
            since=others.pop("since"),
            until=others.pop("until"),
        )
        return command(*args, wanted=wanted, **others)

    for option in (
        click.option("--until", type=MomentParam(), help="Submitted before this moment (UTC)."),
        click.option("--since", type=MomentParam(), help="Submitted at this moment (UTC) or later."),
        click.option("--worker", help="Driven by this process, as host:pid."),
        click.option("--error", "code", help="Failed with this error code."),
        click.option("--status", type=click.Choice([one.value for one in ExecutionStatus])),
        click.option("--workflow", "workflow_id", type=click.UUID),
        click.option("--user", "owner", help="Of the user with this id or address."),
    ):
        run = option(run)
    return run
