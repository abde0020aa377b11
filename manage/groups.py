"""Click's commands and groups with what all of ours have: `--json`, and errors of services as one sentence."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from manage.output import Output
from models.errors import ForgeError

F = TypeVar("F", bound=Callable[..., Any])


class DatabaseUnavailable(click.ClickException):
    """The database cannot be reached or used. Status 1 is a refusal or a finding, 2 wrong usage."""

    exit_code = 3


class ManageCommand(click.Command):
    """A command with the option `--json`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(
            click.Option(
                ["--json", "as_json"],
                is_flag=True,
                expose_value=False,
                callback=_set_json,
                help="Print one JSON document instead of text.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; prints an expected error as one sentence and exits with its status."""
        try:
            return super().invoke(ctx)
        except ForgeError as error:
            sentences = [error.detail, *(f"{one.field}: {one.message}" for one in error.errors)]
            raise click.ClickException(" ".join(sentences)) from error
        except OperationalError as error:
            raise DatabaseUnavailable(f"The database is unavailable: {str(error.orig).strip()}") from error
        except ProgrammingError as error:
            first = str(error.orig).partition("\n")[0]
            raise DatabaseUnavailable(f"The database is of another version ({first}): run `migrate`.") from error


class ManageGroup(click.Group):
    """A group of such commands."""

    command_class = ManageCommand
    group_class = type


def output() -> Output:
    """The output of the command that runs."""
    return click.get_current_context().ensure_object(Output)


def confirmed(command: F) -> F:
    """Add the option `--yes` to a command that calls `confirm` before it does what cannot be undone."""
    return click.option(
        "--yes",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, _, value: ctx.meta.__setitem__("manage.yes", value),
        help="Do not ask for confirmation.",
    )(command)


def confirm(question: str) -> None:
    """Ask the operator, unless `--yes` was given; aborts on anything but yes."""
    if not click.get_current_context().meta.get("manage.yes"):
        click.confirm(question, abort=True, err=True)


def _set_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Output).as_json = True
