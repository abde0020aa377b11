"""What commands print: tables and sentences for people, or one JSON document for scripts."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import click
import orjson

from logs import escaped

T = TypeVar("T")
WIDEST = 60  # characters of a column


@dataclass
class Output:
    """Prints the result of one command to standard output; progress and questions go to standard error."""

    as_json: bool = False

    def document(self, value: Any, *sentences: str) -> None:
        """Print `value` as JSON, or the sentences for people."""
        if self.as_json:
            click.echo(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
            return
        for sentence in sentences:
            click.echo("\n".join(escaped(line) for line in sentence.split("\n")))

    def table(self, rows: Sequence[Mapping[str, Any]], *, empty: str) -> None:
        """Print rows with the same keys as a list in JSON or as a table; `empty` is the sentence for no rows."""
        self.document(rows, "\n".join(_lines(rows)) if rows else empty)

    @contextmanager
    def progress(self, items: Iterable[T], label: str, *, length: int | None = None) -> Iterator[Iterable[T]]:
        """A progress bar on standard error over `items`, if that is a terminal."""
        with click.progressbar(
            items, label=label, length=length, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            yield bar


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    columns = list(rows[0])
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[at]) for line in cells)) for at, column in enumerate(columns)]
    for line in ([column.upper() for column in columns], *cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple() | set():
            text = ", ".join(str(one) for one in value)
        case _:
            text = str(value)
    text = escaped(text)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
