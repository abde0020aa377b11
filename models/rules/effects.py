"""What a node may ask of the outside world, as values. The worker performs them; nothing else reaches out.

A node type that needs nothing new from outside is one file in `models/rules/nodes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from models.rules.pricing import Provider

Json = Any


@dataclass(frozen=True)
class Done:
    """The node's result, and the port that it chose when its kind has ports."""

    output: Json
    port: str | None = None


@dataclass(frozen=True)
class HttpCall:
    """One HTTP request to a public address; `body` is bytes ready to be sent, `timeout` is in seconds."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout: float = 30.0


@dataclass(frozen=True)
class HttpAnswer:
    """What came back: `body` is parsed JSON when the answer says so, otherwise text."""

    status: int
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True)
class AgentTurn:
    """One turn of an OpenClaw agent; `agent_id` None means the deployment's default agent."""

    prompt: str
    system: str | None = None
    agent_id: str | None = None
    timeout: float = 300.0


@dataclass(frozen=True)
class ModelCall:
    """One call of an AI provider's API with the user's own key."""

    provider: Provider
    model: str | None
    prompt: str
    system: str | None = None
    max_tokens: int | None = None
    timeout: float = 120.0


@dataclass(frozen=True)
class TextAnswer:
    """What an agent or a model said; `usage` counts tokens as `{input, output, total}`."""

    text: str
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    finish: str = "stop"  # or "length": cut off by maxTokens


@dataclass(frozen=True)
class Iterate:
    """Run the node's children for each of `items`, or while the node's condition holds (`items` None)."""

    items: tuple[Json, ...] | None
    max_iterations: int
    concurrency: int = 1


@dataclass(frozen=True)
class Sleep:
    """Wait without a worker: `seconds` from now, or until a moment."""

    seconds: float | None = None
    until: datetime | None = None  # aware


@dataclass(frozen=True)
class Ask:
    """Wait without a worker until a person answers, at most `timeout` seconds (None: as long as it takes)."""

    message: str
    timeout: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What a person answered; `approved` None means that nobody did in time."""

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
Answer = HttpAnswer | TextAnswer | Verdict | None
