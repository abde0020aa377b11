"""What a node type is: its config, its ports, its price, and how it turns inputs into a result or an effect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.rules.effects import Answer, Done, Effect
from models.rules.graph import Node, Retry
from models.rules.pricing import Provider

Json = Any
Config = Mapping[str, Json]


@dataclass(frozen=True)
class Field:
    """One key of a node's config.

    `kind` is one of: `text` (a string), `number`, `flag` (a boolean), `choice` (one of `choices`), `value` (any JSON),
    `object`, `list`, `condition` or `expression` (CEL, evaluated by the node itself, bare or inside `{{ }}`), `cases`
    (a list of `{name, condition}`). Every kind but the two CEL ones and `choice` may hold `{{ }}` in its strings;
    then the value is known at run time only.
    """

    name: str
    kind: str
    required: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False  # a number without a fraction


@dataclass(frozen=True)
class NodeCall:
    """One attempt of one node: its resolved config and what its expressions see.

    `config` holds each `{{ }}` resolved; fields of kind `condition` and `expression` are `Expression` values, and
    `cases` is a list of `(name, Expression)`. `incoming` is the output of the node before it, or a mapping of outputs
    by node id where several connections were taken, or the run's input for a root; `arrived` always holds the outputs
    by node id, and nothing for a root.
    """

    node: Node
    config: Config
    scope: Mapping[str, Json]
    incoming: Json
    arrived: Mapping[str, Json] = field(default_factory=dict)


ONCE = Retry()


def _no_ports(_: Config) -> tuple[str, ...]:
    return ()


def _no_provider(_: Config) -> Provider | None:
    return None


def _no_findings(_: Config) -> tuple[tuple[str, str, str], ...]:
    return ()


def _output_is_answer(_: NodeCall, answer: Answer) -> Done:
    return Done(answer)


@dataclass(frozen=True)
class NodeKind:
    """A node type. `begin` is pure: it returns the result, or the effect whose answer `finish` turns into one."""

    type: str
    fields: tuple[Field, ...]
    begin: Callable[[NodeCall], Done | Effect]
    finish: Callable[[NodeCall, Any], Done] = _output_is_answer
    ports: Callable[[Config], tuple[str, ...]] = _no_ports  # besides `error`, which onError: branch adds
    provider: Callable[[Config], Provider | None] = _no_provider  # whose call it is priced as
    # what only this kind can see: ("error" or "warning", field, sentence)
    findings: Callable[[Config], tuple[tuple[str, str, str], ...]] = _no_findings
    fields_by: Callable[[Config], tuple[Field, ...]] | None = None  # where one key decides what another means
    retry: Retry = ONCE  # unless the node says otherwise
    retry_by: Callable[[Config], Retry] | None = None  # where its own config says more than `retry`
    container: bool = False  # may be named as `parentId`
    pure: bool = True  # no effect: recomputed after a crash instead of being recorded before it starts
    joins_any: Callable[[Config], bool] = lambda _: False  # runs at the first taken connection

    def fields_for(self, config: Config) -> tuple[Field, ...]:
        """The keys of this config."""
        return self.fields_by(config) if self.fields_by else self.fields

    def retry_for(self, call: NodeCall) -> Retry:
        """How often and how patiently an attempt is repeated: as the node says, then as its config says."""
        return call.node.retry or (self.retry_by(call.config) if self.retry_by else self.retry)
