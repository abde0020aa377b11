"""Compiles the expressions of a graph for the linter: each text once, up to the limits of a graph."""

from models.errors import ExpressionError
from models.rules.expressions.evaluate import Mode
from models.rules.expressions.templates import TextTemplate, compile_bare, compile_template, is_template

MAX_EXPRESSIONS = 10_000  # in a graph
EXPRESSIONS_PER_NODE = 500  # in a graph, times its nodes: tiers with small graphs cannot occupy the linter for long
MAX_PARSED = 2_000  # of them that are more than a path; parsing one takes a millisecond
MAX_CHARACTERS = 256 * 1024  # of all of them together
CHARACTERS_PER_NODE = 32 * 1024
_REFUSAL = ExpressionError(
    f"A graph has too many expressions, or too long ones. It may have {EXPRESSIONS_PER_NODE} per node and"
    f" {MAX_EXPRESSIONS:,} in total, {MAX_PARSED:,} of them more than a path, with {CHARACTERS_PER_NODE:,} characters"
    f" per node and {MAX_CHARACTERS:,} in total."
)


class ExpressionCompiler:
    """Compiles the texts of one graph, and caches the result or the error of each."""

    def __init__(self, node_ids: frozenset[str]) -> None:
        self._node_ids = node_ids
        self._known: dict[tuple[Mode | None, str], TextTemplate | ExpressionError] = {}
        self._expressions = min(MAX_EXPRESSIONS, EXPRESSIONS_PER_NODE * len(node_ids))
        self._parsed = MAX_PARSED
        self._characters = min(MAX_CHARACTERS, CHARACTERS_PER_NODE * len(node_ids))

    def compile(self, text: str, mode: Mode | None = None) -> TextTemplate:
        """Compile a text with `{{ }}` in it, or with `mode` a bare expression; raises `ExpressionError`."""
        if mode is None and not is_template(text):
            return TextTemplate((text,))
        known = self._known.get((mode, text))
        if known is None:
            known = self._known[mode, text] = self._compiled(text, mode)
        if isinstance(known, ExpressionError):
            raise known
        return known

    def _compiled(self, text: str, mode: Mode | None) -> TextTemplate | ExpressionError:
        if min(self._expressions, self._characters, self._parsed) <= 0:
            return _REFUSAL
        self._expressions -= 1 if mode else text.count("{{")
        try:
            bare = (compile_bare(text, self._node_ids, mode),) if mode else None
            found = TextTemplate(bare) if bare else compile_template(text, self._node_ids)
        except ExpressionError as error:
            self._characters -= min(len(text), 4_000)
            self._parsed -= 1
            return error
        self._parsed -= sum(not expression.path for expression in found.expressions)
        self._characters -= sum(len(expression.source) for expression in found.expressions)
        return found
