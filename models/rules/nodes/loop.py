"""`loop`: runs its children once for each item, or while a condition holds; always bounded."""

from models.rules.config import DEFAULT_ITERATIONS
from models.rules.effects import Iterate
from models.rules.expressions import ExpressionFailed
from models.rules.kinds import Config, Field, NodeCall, NodeKind

MAX_ITERATIONS = 10_000
MAX_CONCURRENCY = 50


def begin(call: NodeCall) -> Iterate:
    """Ask for the iterations; raises `ExpressionFailed` when there are more items than `maxIterations`."""
    most = int(call.config.get("maxIterations", DEFAULT_ITERATIONS))
    if call.config.get("while") is not None:
        return Iterate(None, most)
    items = call.config.get("items", call.incoming)
    if not isinstance(items, list | tuple):
        raise ExpressionFailed(f"The loop `{call.node.label}` needs a list to go through; set `items`.")
    if len(items) > most:
        sentence = f"The loop `{call.node.label}` has {len(items):,} items, and its maxIterations is {most:,}."
        raise ExpressionFailed(sentence)
    return Iterate(tuple(items), most, int(call.config.get("concurrency", 1)))


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    items, most = config.get("items"), config.get("maxIterations", DEFAULT_ITERATIONS)
    condition = config.get("while") not in (None, "")
    if condition and items not in (None, ""):
        return (("error", "items", "A loop has `items` or `while`, not both."),)
    if condition and config.get("concurrency") not in (None, "", 1):
        return (("warning", "concurrency", "A loop with `while` runs one iteration after the other."),)
    if isinstance(items, list) and isinstance(most, int | float) and len(items) > most:
        return (("error", "items", f"There are {len(items):,} items, and maxIterations is {most:,}."),)
    if not condition and items in (None, ""):
        return (("warning", "items", "A loop without `items` or `while` goes through the list that comes in."),)
    return ()


KIND = NodeKind(
    type="loop",
    fields=(
        Field("items", "list"),
        Field("while", "condition"),
        Field("concurrency", "number", low=1, high=MAX_CONCURRENCY, whole=True),
        Field("maxIterations", "number", low=1, high=MAX_ITERATIONS, whole=True),
    ),
    begin=begin,
    findings=_findings,
    container=True,
)
