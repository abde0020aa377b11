"""Spans of calls to the outside, with the attributes that OpenTelemetry names for models: no prompts and no results."""

from models.rules.graph.effects import AgentTurn, Call, HttpCall, HttpResponse, ModelCall, TextResult
from models.rules.prices.pricing import Provider
from telemetry import tracing
from telemetry.tracing import Span
from workers.gateways.base import CallFailed


def begin(call: Call, parent: str | None, number: int) -> Span:
    """Begin the span of a node's call; of an `api_call` not even the host is named, because it is the user's."""
    if not tracing.is_on():
        return tracing.NOTHING
    match call:
        case HttpCall(method=method):
            name, facts = method, {"http.request.method": method}
        case ModelCall(provider=provider, model=model):
            name = f"chat {model or provider.value}"
            facts = _gen_ai(provider, "chat") | ({"gen_ai.request.model": model} if model else {})
        case AgentTurn():
            name, facts = "invoke_agent", _gen_ai(Provider.OPENCLAW, "invoke_agent")
    return tracing.begin(name, "client", parent=parent, attributes={**facts, "agentforge.attempt": number})


def end(span: Span, result: object) -> None:
    """End it with what its result is, and not what it says."""
    match result:
        case CallFailed(code=code):
            span.fail(code)
        case Exception():
            span.fail(type(result).__name__)
        case HttpResponse(status=status):
            span.set({"http.response.status_code": status})
        case TextResult(model=model, usage=usage, finish=finish):
            span.set({"gen_ai.response.model": model, "agentforge.finish": finish})
            tokens = {f"gen_ai.usage.{name}_tokens": usage.get(name) for name in ("input", "output")}
            span.set(tokens)
    span.end()


def _gen_ai(provider: Provider, operation: str) -> dict[str, str]:
    return {"gen_ai.system": provider.value, "gen_ai.operation.name": operation}
