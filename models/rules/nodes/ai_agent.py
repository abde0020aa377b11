"""`ai_agent`: one turn of an OpenClaw agent, or one call of a model with the user's own key."""

import re
from typing import Any

import orjson

from models.rules.effects import AgentTurn, Done, ModelCall, TextAnswer
from models.rules.expressions import ExpressionFailed
from models.rules.graph import Retry
from models.rules.kinds import Config, Field, NodeCall, NodeKind
from models.rules.pricing import Provider
from models.rules.templates import value_text

Json = Any
MAX_TOKENS = 200_000
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*?)```", re.DOTALL)


def provider(config: Config) -> Provider:
    """Who answers; OpenClaw unless the config names another."""
    try:
        return Provider(str(config.get("provider") or Provider.OPENCLAW).lower())
    except ValueError:
        return Provider.OPENCLAW


def begin(call: NodeCall) -> AgentTurn | ModelCall:
    """The question; raises `ExpressionFailed` when there is nothing to ask."""
    config, asked = call.config, provider(call.config)
    prompt = config.get("prompt")
    if prompt is None:
        prompt = "" if call.incoming is None else value_text(call.incoming)
    if not prompt.strip():
        raise ExpressionFailed("There is nothing to ask: `prompt` is empty, and no data comes in.")
    timeout = {} if call.node.timeout is None else {"timeout": float(call.node.timeout)}
    if asked is Provider.OPENCLAW:
        return AgentTurn(prompt, config.get("system"), config.get("agentId"), **timeout)
    most = config.get("maxTokens")
    return ModelCall(
        asked, config.get("model"), prompt, config.get("system"), None if most is None else int(most), **timeout
    )


def finish(call: NodeCall, answer: TextAnswer) -> Done:
    """What was said, and what it is as JSON, if it is."""
    output = {"text": answer.text, "json": json_in(answer.text), "model": answer.model, "usage": dict(answer.usage)}
    return Done(output)


def json_in(text: str) -> Json:
    """The JSON object or list that `text` is, bare or inside a fence; None when it is none."""
    fenced = _FENCE.search(text)
    for candidate in (text, fenced[1] if fenced else ""):
        if candidate.strip()[:1] in ("{", "["):
            try:
                found = orjson.loads(candidate)
                orjson.dumps(found)  # what is nested too deeply to be kept stays text
            except (orjson.JSONDecodeError, TypeError):
                continue
            return found
    return None


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    found = []
    if config.get("prompt") in (None, ""):
        found.append(("warning", "prompt", "Without a prompt the data that comes in is the question."))
    if provider(config) is Provider.OPENCLAW:
        found += [
            ("warning", name, f"OpenClaw chooses this itself; `{name}` has no effect.")
            for name in ("model", "maxTokens")
            if config.get(name) not in (None, "")
        ]
    elif config.get("agentId") not in (None, ""):
        found.append(("warning", "agentId", "Only OpenClaw has agents; `agentId` has no effect."))
    return tuple(found)


KIND = NodeKind(
    type="ai_agent",
    fields=(
        Field("provider", "choice", choices=tuple(Provider)),
        Field("model", "text"),
        Field("agentId", "text"),
        Field("prompt", "text"),
        Field("system", "text"),
        Field("maxTokens", "number", low=1, high=MAX_TOKENS, whole=True),
    ),
    begin=begin,
    finish=finish,
    provider=provider,
    findings=_findings,
    retry=Retry(max_attempts=3),
    pure=False,
)
