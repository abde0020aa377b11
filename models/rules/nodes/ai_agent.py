"""`ai_agent`: a turn of an OpenClaw agent, or a call of a model with the user's own key."""

import re

import orjson

from models.errors import ExpressionFailed
from models.rules.graph.effects import AgentTurn, Done, ModelCall, TextResult
from models.rules.graph.graph import Retry
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind
from models.rules.prices.pricing import Provider
from models.rules.values.json_values import read_json, value_text
from models.serialization import Json

MAX_TOKENS = 200_000
MODEL_PROVIDERS = {"provider": tuple(one.value for one in Provider if one is not Provider.OPENCLAW)}
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*?)```", re.DOTALL)


def provider(config: Config) -> Provider:
    """The provider of a node; OpenClaw unless the config names another one."""
    try:
        return Provider(str(config.get("provider") or Provider.OPENCLAW).lower())
    except ValueError:
        return Provider.OPENCLAW


def begin(call: NodeCall) -> AgentTurn | ModelCall:
    """The call with its prompt; raises `ExpressionFailed` if the prompt is empty."""
    config, chosen = call.config, provider(call.config)
    prompt = config.get("prompt")
    if prompt is None:
        prompt = "" if call.incoming is None else value_text(call.incoming)
    if not prompt.strip():
        raise ExpressionFailed("There is nothing to ask: `prompt` is empty, and no data comes in.")
    timeout = {} if call.node.timeout is None else {"timeout": float(call.node.timeout)}
    if chosen is Provider.OPENCLAW:
        return AgentTurn(prompt, config.get("system"), config.get("agentId"), **timeout)
    max_tokens = config.get("maxTokens")
    return ModelCall(
        chosen,
        config.get("model"),
        prompt,
        config.get("system"),
        None if max_tokens is None else int(max_tokens),
        **timeout,
    )


def finish(call: NodeCall, result: TextResult) -> Done:
    """The text of the response, its model and usage, and the JSON in the text, if any."""
    output = {"text": result.text, "json": json_in(result.text), "model": result.model, "usage": dict(result.usage)}
    return Done(output)


def json_in(text: str) -> Json:
    """The JSON object or list in `text`, bare or inside a code fence; None if there is none."""
    fenced = _FENCE.search(text)
    for candidate in (text, fenced[1] if fenced else ""):
        if candidate.strip()[:1] in ("{", "["):
            try:
                found = read_json(candidate)
                orjson.dumps(found)  # raises if it is nested too deeply to be stored; it stays text then
            except (ValueError, TypeError):
                continue
            return found
    return None


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    found = []
    if config.get("prompt") in (None, ""):
        found.append(("warning", "prompt", "Without a prompt the data that comes in is the question."))
    if provider(config) is Provider.OPENCLAW:
        found += [
            ("error", name, f"OpenClaw chooses this itself: remove `{name}`, or name another provider.")
            for name in ("model", "maxTokens")
            if config.get(name) not in (None, "")
        ]
    elif config.get("agentId") not in (None, ""):
        found.append(("warning", "agentId", "Only OpenClaw has agents; `agentId` has no effect."))
    return tuple(found)


KIND = NodeKind(
    type="ai_agent",
    title="AI agent",
    help="Asks an agent of OpenClaw, or a model of a provider with your own key.",
    result="`text`, `json` (the object or list in the text, if any), `model` and `usage`.",
    fields=(
        Field(
            "provider",
            "choice",
            choices=tuple(Provider),
            title="Provider",
            help="OpenClaw runs an agent; the others answer with a model, by the key that you saved for them.",
            default=Provider.OPENCLAW.value,
        ),
        Field(
            "model",
            "text",
            title="Model",
            help="The provider's name of the model. Without one, its usual model.",
            format="model",
            when=MODEL_PROVIDERS,
        ),
        Field(
            "agentId",
            "text",
            title="Agent",
            help="The agent of OpenClaw that answers. Without one, the usual agent of this service.",
            format="agent",
            when={"provider": (Provider.OPENCLAW.value,)},
        ),
        Field(
            "prompt",
            "text",
            title="Prompt",
            help="The question. Without one, the data that comes in is the question.",
            format="multiline",
            examples=("Summarize in two sentences: {{ data }}",),
        ),
        Field(
            "system",
            "text",
            title="Instructions",
            help="How to answer: role, tone, format.",
            format="multiline",
            examples=("Answer with JSON only: {sentiment, confidence}.",),
        ),
        Field(
            "maxTokens",
            "number",
            low=1,
            high=MAX_TOKENS,
            whole=True,
            title="Longest answer",
            help="The most tokens of the answer.",
            unit="tokens",
            examples=(1_000,),
            when=MODEL_PROVIDERS,
        ),
    ),
    begin=begin,
    finish=finish,
    provider=provider,
    findings=_findings,
    retry=Retry(max_attempts=3),
    repeats=True,
)
