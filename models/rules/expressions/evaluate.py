"""Expressions in a node's config: JavaScript over the values of a run, compiled once and evaluated in the sandbox.

Only values that an expression refers to enter the sandbox, so other nodes' outputs cost nothing. A plain path is
followed here, without the sandbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from models.errors import ExpressionError, ExpressionFailed, ExpressionInterrupted, ForgeError, place
from models.rules.expressions.references import Chain, narrowed, plain_path, resolve, written_ids
from models.rules.values.json_values import clean, clean_text
from models.rules.values.scope import Scope
from models.serialization import Json
from sandbox import javascript
from sandbox.engine import MEMORY_BYTES

Mode = Literal["expression", "body", "either"]

MAX_SOURCE = {"expression": 8_000, "body": 16 * 1024, "either": 16 * 1024}  # characters
# The fuel of one evaluation; the size of its input adds to it.
FUEL = 50_000_000  # for an expression
BODY_FUEL = 500_000_000  # for a function body
_TOO_DEEP = "A function calls itself too often, or the values are nested too deeply; limit the recursion."


@dataclass(frozen=True)
class Expression:
    """A compiled expression, or the body of a function (`is_body`).

    `path` is set if the expression is only a path. `chains` are all paths that it reads. `kind` is the inferred type of
    its value, in words for people.
    """

    source: str
    path: Chain
    chains: tuple[Chain, ...] = field(repr=False)
    is_body: bool = False
    kind: str | None = None
    location: str = ""  # where it is written, such as `config.url of node 3`, for errors
    alternative: str = ""  # what has more fuel and could replace it, as advice in errors
    _script: str = field(default="", repr=False)

    @property
    def names(self) -> frozenset[str]:
        """Names of the variables that it reads."""
        return frozenset(str(chain[0]) for chain in self.chains)

    @property
    def nodes(self) -> frozenset[str] | None:
        """Ids of the nodes whose outputs it reads; None if only the evaluation decides them."""
        chains = [chain for chain in self.chains if chain[0] == "nodes"]
        return None if any(len(chain) == 1 for chain in chains) else frozenset(str(chain[1]) for chain in chains)

    def evaluate(self, scope: Scope) -> Json:
        """Compute the value, as JSON, with the variables of `scope`; raises `ExpressionFailed`."""
        try:
            if self.path:
                return resolve(scope.variables, self.path)
            return self._run(scope, "body" if self.is_body else "value")
        except ExpressionFailed as failure:
            raise failure.located(self.location) from failure.__cause__

    def evaluate_each(self, scope: Scope, items: Sequence[Json]) -> list[Json]:
        """Compute the value for each item, with `item` and `index`; raises `ExpressionFailed` that names the item."""
        try:
            if not self.path:
                return list(self._run(scope, "each", items))
            return [self._followed(scope, index, item) for index, item in enumerate(items)]
        except ExpressionFailed as failure:
            raise failure.located(self.location) from failure.__cause__

    def reduce(self, scope: Scope, items: Sequence[Json], initial: Json) -> Json:
        """Compute the last value of a fold: for each item, `accumulator` is the value before it, or `initial`."""
        if not items:
            return initial
        try:
            return self._run(scope, "reduce", items, initial)
        except ExpressionFailed as failure:
            raise failure.located(self.location) from failure.__cause__

    def _followed(self, scope: Scope, index: int, item: Json) -> Json:
        try:
            return resolve({**scope.variables, "item": item, "index": index}, self.path)
        except ExpressionFailed as failure:
            raise ExpressionFailed(f"{failure.detail} (item {index})") from None

    def _run(self, scope: Scope, mode: javascript.Mode, items: Sequence[Json] = (), initial: Json = None) -> Json:
        asked = javascript.Evaluation(
            source=self._script or self.source,
            names=narrowed(scope.variables, self.chains),
            mode=mode,
            fuel=BODY_FUEL if self.is_body else FUEL,
            most=scope.meter.left(),
            clock_ms=scope.clock_ms,
            seed=scope.next_seed(),
            items=items,
            accumulator=initial,
        )
        try:
            answer = javascript.evaluate(asked)
        except javascript.TooExpensive as failure:
            scope.meter.spent += failure.fuel
            scope.meter.left()  # raises if the run has no fuel left
            raise self._too_expensive(failure) from failure
        except javascript.EvaluationFailed as failure:
            scope.meter.spent += failure.fuel
            raise ExpressionFailed(self._explained(failure, scope)) from failure
        scope.meter.spent += answer.fuel
        if answer.is_defined:
            return clean(answer.value)
        if self.is_body:
            raise ExpressionFailed("The code returns nothing; end it with `return` and a value.")
        self._follow_chains(scope)
        raise ExpressionFailed("The result is undefined; write `?? null` after what may be missing.")

    def _explained(self, failure: javascript.EvaluationFailed, scope: Scope) -> str:
        """The reason; raises `ExpressionFailed` with the path if a missing value was the reason."""
        item = "" if failure.index is None else f" (item {failure.index})"
        if failure.is_missing and not item:
            self._follow_chains(scope)
        if failure.position and not self._script and not item:
            return f"{failure.message} ({place(failure.position)})"
        return f"{failure.message}{item}"

    def _follow_chains(self, scope: Scope) -> None:
        """Raise `ExpressionFailed` for the first path without a value."""
        for chain in self.chains:
            resolve(scope.variables, chain)

    def _too_expensive(self, stopped: javascript.TooExpensive) -> ForgeError:
        """The error that names the exceeded limit, and what to do."""
        size, limit = f"{stopped.size:,} bytes of data", f"{stopped.limit // 10**6:,} million instructions"
        advice = f"compute less, or {self.alternative}" if self.alternative and not self.is_body else "compute less"
        if stopped.reason == "time":
            return ExpressionInterrupted("The machine was too busy to evaluate the expression; run the workflow again.")
        sentences = {
            "input": f"It reads {size}, and an expression may read {stopped.limit:,}; read a part of them.",
            "fuel": f"It takes more than {limit}, which is the limit for {size}; {advice}.",
            "memory": f"It needs more memory than the {MEMORY_BYTES // 2**20} MB that an expression has.",
            "result": f"Its result is larger than {javascript.MAX_RESULT:,} bytes.",
        }
        return ExpressionFailed(sentences.get(stopped.reason, _TOO_DEEP))


@lru_cache(maxsize=4096)
def compile_expression(source: str, node_ids: frozenset[str] = frozenset(), mode: Mode = "expression") -> Expression:
    """Compile JavaScript; the ids in `node_ids` may follow `nodes.` even if they are not identifiers.

    Raises `ExpressionError`, whose `position` is the line and column.
    """
    if len(source) > MAX_SOURCE[mode]:
        raise ExpressionError(f"This may have {MAX_SOURCE[mode]:,} characters, and has {len(source):,}.")
    if mode != "body" and (path := plain_path(source, node_ids)):
        return Expression(source, path, (path,))
    found = javascript.analyse(clean_text(source), mode, sorted(written_ids(source, node_ids)))
    if found.error:
        raise ExpressionError(found.error, (found.line, found.column))
    chains = tuple(sorted({tuple(chain) for chain in found.chains}, key=lambda chain: (len(chain), str(chain))))
    script = "" if found.source == source else found.source
    return Expression(source, (), chains, found.body, found.kind, _script=script)
