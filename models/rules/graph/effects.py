"""Effects of nodes on the outside, as values that workers execute.

A node type without a new kind of effect is a single module in `models/rules/nodes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from models.rules.prices.pricing import Provider
from models.serialization import Json

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1: the client asks for no change


@dataclass(frozen=True)
class Done:
    """The result of a node, and the port that it chose if its kind has ports."""

    output: Json
    port: str | None = None


@dataclass(frozen=True)
class HttpCall:
    """An HTTP request to a public address; `body` is encoded, `timeout` is in seconds."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout: float = 30.0

    @property
    def is_safe(self) -> bool:
        """Whether it only reads, so that one call more changes nothing."""
        return self.method.upper() in SAFE_METHODS


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response; `body` is parsed JSON if its content type is JSON, otherwise text."""

    status: int
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True)
class AgentTurn:
    """A turn of an OpenClaw agent; `agent_id` None is the default agent, `timeout` is in seconds."""

    prompt: str
    system: str | None = None
    agent_id: str | None = None
    timeout: float = 300.0


@dataclass(frozen=True)
class ModelCall:
    """A call of an AI provider's API with the user's own key; `timeout` is in seconds."""

    provider: Provider
    model: str | None
    prompt: str
    system: str | None = None
    max_tokens: int | None = None
    timeout: float = 120.0


@dataclass(frozen=True)
class TextResult:
    """The text of an agent or a model; `usage` has numbers of tokens as `{input, output, total}`."""

    text: str
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    finish: str = "stop"  # or "length": cut off by maxTokens


@dataclass(frozen=True)
class Iterate:
    """Run the children of a loop for each of `items` or, if None, while its condition holds."""

    items: tuple[Json, ...] | None
    concurrency: int = 1


@dataclass(frozen=True)
class Sleep:
    """Wait without a worker: for `seconds`, or until a time."""

    seconds: float | None = None
    until: datetime | None = None  # aware


@dataclass(frozen=True)
class Ask:
    """Wait without a worker for a person's decision, at most `timeout` seconds (None: without a limit)."""

    message: str
    timeout: float | None = None


@dataclass(frozen=True)
class ApprovalResult:
    """A person's decision; `approved` is None if there was none in time."""

    approved: bool | None
    comment: str | None = None


@dataclass(frozen=True)
class RunWorkflow:
    """Run another of the owner's workflows as an execution of its own, and wait for its end without a worker."""

    workflow_id: UUID
    input: Json


Call = HttpCall | AgentTurn | ModelCall
Pause = Sleep | Ask
Effect = Call | Pause | Iterate | RunWorkflow
EffectResult = HttpResponse | TextResult | ApprovalResult | None
