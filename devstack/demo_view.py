"""View of the demo: a live progress bar per node, the result, and the receipt."""

from typing import Any

from rich.console import Console
from rich.json import JSON
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from models.serialization import Json

_STYLES = {
    "pending": "dim",
    "running": "cyan",
    "waiting": "yellow",
    "success": "green",
    "failed": "bold red",
    "skipped": "dim strike",
    "cancelled": "yellow",
    "queued": "yellow",
}
_SETTLED = ("success", "failed", "skipped", "cancelled")


class _Status(ProgressColumn):
    """The node's status in its colour, and how long it took."""

    def render(self, task: Task) -> Text:
        status = task.fields["status"]
        took = task.fields["took"]
        return Text(f"{status:<9}" + (f" {took:7.3f} s" if took is not None else ""), style=_STYLES.get(status, ""))


class RunView:
    """A progress bar per node, updated with the responses of `GET /executions/{id}`."""

    def __init__(self, console: Console) -> None:
        self._bars: dict[str, Any] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[kind]}[/]"),
            BarColumn(bar_width=24),
            _Status(),
            console=console,
        )

    def __enter__(self) -> "RunView":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, run: Json) -> None:
        """Draw the run's current state."""
        for node in run["nodes"]:
            node_id = node["nodeId"]
            if node_id not in self._bars:
                indent = "  └ " if node.get("parentId") else ""
                self._bars[node_id] = self._progress.add_task(
                    indent + escape(node["label"]), total=1, kind=node["type"], status="pending", took=None
                )
            iterations = node.get("iterations")
            settled = node["status"] in _SETTLED
            self._progress.update(
                self._bars[node_id],
                total=iterations["total"] if iterations else 1,
                completed=iterations["done"] if iterations else int(settled),
                status=node["status"],
                took=node.get("duration"),
            )


def show_result(console: Console, run: Json) -> None:
    """Print the output, or the error."""
    if run["status"] == "success":
        body = JSON.from_data(run["output"], ensure_ascii=False)
        console.print(Panel(body, title=f"Result · {run['duration']} s", border_style="green"))
    else:
        reason = run.get("error") or run["status"]
        console.print(Panel(Text(str(reason)), title=f"The run ended as {run['status']}", border_style="red"))


def show_receipt(console: Console, receipt: Json, balance: Json) -> None:
    """Print the cost, node by node, and the balance."""
    table = Table(title=f"Receipt · price list {receipt['priceList']}", title_justify="left")
    for heading, justify in (("item", "left"), ("runs", "right"), ("each", "right"), ("credits", "right")):
        table.add_column(heading, justify=justify)
    for item in receipt["items"]:
        table.add_row(escape(item["label"]), str(item["runs"]), f"{item['unitPrice']:.2f}", f"{item['amount']:.2f}")
    table.add_row("the run itself", "", "", f"{receipt['runFee']:.2f}")
    table.add_row("total", "", "", f"{receipt['total']:.2f}", style="bold")
    console.print(table)
    console.print(
        f"Held {receipt['held']:.2f}, released {receipt['released']:.2f}. "
        f"Balance: [bold]{balance['balance']:.2f}[/] credits, {balance['held']:.2f} held."
    )
