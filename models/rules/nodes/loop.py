"""`loop`: runs its children once for each item, or while a condition holds, up to a maximum."""

from models.errors import ExpressionFailed
from models.rules.graph.config import DEFAULT_ITERATIONS
from models.rules.graph.effects import Iterate
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind

MAX_ITERATIONS = 10_000
MAX_CONCURRENCY = 50


def begin(call: NodeCall) -> Iterate:
    """The iterations; raises `ExpressionFailed` without a list, or with more items than `maxIterations`."""
    maximum = int(call.config.get("maxIterations", DEFAULT_ITERATIONS))
    if call.config.get("while") is not None:
        return Iterate(None)
    items = call.config.get("items", call.incoming)
    if not isinstance(items, list | tuple):
        raise ExpressionFailed(f"The loop `{call.node.label}` needs a list to go through; set `items`.")
    if len(items) > maximum:
        sentence = f"The loop `{call.node.label}` has {len(items):,} items, and its maxIterations is {maximum:,}."
        raise ExpressionFailed(sentence)
    return Iterate(tuple(items), int(call.config.get("concurrency", 1)))


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    items, maximum = config.get("items"), config.get("maxIterations", DEFAULT_ITERATIONS)
    condition = config.get("while") not in (None, "")
    if condition and items not in (None, ""):
        return (("error", "items", "A loop has `items` or `while`, not both."),)
    if condition and config.get("concurrency") not in (None, "", 1):
        return (("warning", "concurrency", "A loop with `while` runs one iteration after the other."),)
    if isinstance(items, list) and isinstance(maximum, int | float) and len(items) > maximum:
        return (("error", "items", f"There are {len(items):,} items, and maxIterations is {maximum:,}."),)
    if not condition and items in (None, ""):
        return (("warning", "items", "A loop without `items` or `while` goes through the list that comes in."),)
    return ()


KIND = NodeKind(
    type="loop",
    title="Loop",
    help="Runs the nodes inside it for each item of a list, or while a condition holds.",
    result="The list of the results of its iterations.",
    fields=(
        Field(
            "items",
            "list",
            title="Items",
            help="The list to go through. Without one, the data that comes in. Set items or while, not both.",
            examples=("{{ nodes.fetch.output.body.orders }}",),
        ),
        Field(
            "while",
            "condition",
            body=True,
            alternative="write it as a function body",
            title="While",
            help="Iterates while this is true; `item` is the result of the iteration before, `index` its number.",
            examples=("index < 10",),
        ),
        Field(
            "concurrency",
            "number",
            low=1,
            high=MAX_CONCURRENCY,
            whole=True,
            title="At a time",
            help="How many iterations run at the same time.",
            default=1,
        ),
        Field(
            "maxIterations",
            "number",
            low=1,
            high=MAX_ITERATIONS,
            whole=True,
            title="Most iterations",
            help="More items are an error. The price of a run is estimated by it.",
            default=DEFAULT_ITERATIONS,
        ),
    ),
    begin=begin,
    findings=_findings,
    container=True,
)
