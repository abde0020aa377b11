"""Node types: their config, ports and price, and how they turn inputs into a result or an effect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.rules.expressions.evaluate import Mode
from models.rules.graph.effects import Done, Effect, EffectResult
from models.rules.graph.graph import Node, Retry
from models.rules.prices.pricing import Provider
from models.rules.values.scope import Scope
from models.serialization import Json

Config = Mapping[str, Json]


@dataclass(frozen=True)
class Field:
    """A key of a node's config, or one of the options that every node has.

    `kind` is one of: `text` (a string), `number`, `flag` (a boolean), `choice` (one of `choices`), `value` (any JSON),
    `object`, `list`, `condition` or `expression` (JavaScript, evaluated by the node itself, bare or inside `{{ }}`),
    `code` (the body of a function), `cases` (a list of `{name, condition}`). Every kind except those of JavaScript and
    `choice` may have `{{ }}` in its strings, which makes the value known at run time only.
    """

    name: str
    kind: str
    required: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False  # a number without a fraction
    nulls: bool = True  # whether an expression within a text may be null
    body: bool = False  # whether the expression may be the body of a function instead
    alternative: str = ""  # what has more fuel and could replace the expression, as advice in errors
    above_low: bool = False  # a number above `low`, not equal to it
    # For forms:
    title: str = ""
    help: str = ""  # a sentence or two
    default: Json = None  # what an absent value means; None if that is no constant
    examples: tuple[Json, ...] = ()
    format: str = ""  # of a text: uri, date-time, multiline, workflow, agent or model
    unit: str = ""
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # other fields' values with which it has effect

    @property
    def mode(self) -> Mode | None:
        """How the field's texts are parsed if they are expressions without `{{ }}`; None if they are not."""
        if self.kind == "code":
            return "body"
        bare = self.kind in ("condition", "expression", "cases")
        return None if not bare else "either" if self.body else "expression"


@dataclass(frozen=True)
class NodeCall:
    """The arguments of an attempt of a node.

    `config` has each `{{ }}` resolved; fields of kind `condition`, `expression` and `code` are `Expression` values, and
    `cases` is a list of `(name, Expression)`. `scope` has the variables of expressions. `incoming` is the output of the
    node before it, or a mapping of outputs by node id if several connections were taken, or the run's input for a root;
    `arrived` always has the outputs by node id, and is empty for a root.
    """

    node: Node
    config: Config
    scope: Scope
    incoming: Json
    arrived: Mapping[str, Json] = field(default_factory=dict)


ONCE = Retry()


def _no_ports(_: Config) -> tuple[str, ...]:
    return ()


def _no_provider(_: Config) -> Provider | None:
    return None


def _no_findings(_: Config) -> tuple[tuple[str, str, str], ...]:
    return ()


def _output_is_result(_: NodeCall, result: EffectResult) -> Done:
    return Done(result)


@dataclass(frozen=True)
class NodeKind:
    """A node type. `begin` is pure: it returns the result, or the effect whose result `finish` turns into one."""

    type: str
    fields: tuple[Field, ...]
    begin: Callable[[NodeCall], Done | Effect]
    finish: Callable[[NodeCall, Any], Done] = _output_is_result
    ports: Callable[[Config], tuple[str, ...]] = _no_ports  # besides `error`, which onError: branch adds
    provider: Callable[[Config], Provider | None] = _no_provider  # whose call it is priced as
    # further findings about the config, as ("error" or "warning", field, sentence)
    findings: Callable[[Config], tuple[tuple[str, str, str], ...]] = _no_findings
    fields_by: Callable[[Config], tuple[Field, ...]] | None = None  # if the fields depend on the config
    title: str = ""
    help: str = ""
    varies_by: str = ""  # the choice on which they depend
    ports_by: str = ""  # the list whose items name the ports, if the config has one
    result: str = ""  # the output, as a sentence
    retry: Retry = ONCE  # unless the node has its own
    retry_by: Callable[[Config], Retry] | None = None  # if the default depends on the config
    container: bool = False  # may be the `parentId` of other nodes
    repeats: bool = False  # makes attempts, to which `retry` and `onCrash` apply
    joins_any: Callable[[Config], bool] = lambda _: False  # runs at the first taken connection

    def fields_for(self, config: Config) -> tuple[Field, ...]:
        """The fields of this config."""
        return self.fields_by(config) if self.fields_by else self.fields

    def retry_for(self, call: NodeCall) -> Retry:
        """The retry policy of a node: its own, or the default for its config."""
        return call.node.retry or (self.retry_by(call.config) if self.retry_by else self.retry)
