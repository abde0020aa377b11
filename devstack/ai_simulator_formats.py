"""The three wire formats from the server's side: where prompt and key are, what answers and errors look like."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Json = Any


@dataclass(frozen=True)
class Asked:
    """A request in one form, whichever format it came in."""

    model: str
    prompt: str
    max_tokens: int | None


@dataclass(frozen=True)
class Fault:
    """An error to answer with: status, the format's own word, a sentence, headers."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str]
    details: tuple[Json, ...] = ()


class Malformed(Exception):
    """The request is not one of this format; the sentence says why."""


class OpenAi:
    """Chat Completions."""

    kinds: ClassVar[Mapping[int | str, str]] = {
        400: "invalid_request_error",
        401: "invalid_api_key",
        404: "model_not_found",
        429: "rate_limit_exceeded",
        500: "server_error",
        503: "service_unavailable",
        "quota": "insufficient_quota",
        "context": "context_length_exceeded",
    }

    @staticmethod
    def key(headers: Mapping[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key if scheme == "Bearer" else ""

    @staticmethod
    def read(path: str, body: Json) -> Asked:
        messages = [m["content"] for m in body["messages"] if m["role"] == "user"]
        return Asked(_text(body["model"]), "\n".join(map(_text, messages)), body.get("max_completion_tokens"))

    @staticmethod
    def answer(asked: Asked, text: str, finish: str) -> Json:
        reasons = {"stop": "stop", "length": "length", "refuse": "content_filter"}
        given, said = tokens(asked.prompt), tokens(text)
        message = {"role": "assistant", "content": text, "refusal": None}
        return {
            "id": "chatcmpl-simulated",
            "object": "chat.completion",
            "model": asked.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reasons[finish]}],
            "usage": {"prompt_tokens": given, "completion_tokens": said, "total_tokens": given + said},
        }

    @staticmethod
    def error(fault: Fault) -> Json:
        kind = "insufficient_quota" if fault.kind == "insufficient_quota" else "invalid_request_error"
        return {"error": {"message": fault.message, "type": kind, "param": None, "code": fault.kind}}


class Anthropic:
    """Messages."""

    kinds: ClassVar[Mapping[int | str, str]] = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        503: "api_error",
        529: "overloaded_error",
        "quota": "billing_error",
        "context": "invalid_request_error",
    }

    @staticmethod
    def key(headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key", "")

    @staticmethod
    def read(path: str, body: Json) -> Asked:
        if not isinstance(body.get("max_tokens"), int):
            raise Malformed("max_tokens: Field required")
        prompt = "\n".join(_text(m["content"]) for m in body["messages"] if m["role"] == "user")
        return Asked(_text(body["model"]), prompt, body["max_tokens"])

    @staticmethod
    def answer(asked: Asked, text: str, finish: str) -> Json:
        reasons = {"stop": "end_turn", "length": "max_tokens", "refuse": "refusal"}
        return {
            "id": "msg_simulated",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": reasons[finish],
            "stop_sequence": None,
            "usage": {"input_tokens": tokens(asked.prompt), "output_tokens": tokens(text)},
        }

    @staticmethod
    def error(fault: Fault) -> Json:
        return {"type": "error", "error": {"type": fault.kind, "message": fault.message}}


class Google:
    """generateContent."""

    kinds: ClassVar[Mapping[int | str, str]] = {
        400: "INVALID_ARGUMENT",
        401: "API_KEY_INVALID",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
        "quota": "RESOURCE_EXHAUSTED",
        "context": "INVALID_ARGUMENT",
    }

    @staticmethod
    def key(headers: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key", "")

    @staticmethod
    def read(path: str, body: Json) -> Asked:
        texts = [_text(part["text"]) for content in body["contents"] for part in content["parts"]]
        model = path.rsplit("/", 1)[-1].removesuffix(":generateContent")
        return Asked(model, "\n".join(texts), (body.get("generationConfig") or {}).get("maxOutputTokens"))

    @staticmethod
    def answer(asked: Asked, text: str, finish: str) -> Json:
        reasons = {"stop": "STOP", "length": "MAX_TOKENS", "refuse": "SAFETY"}
        given, said = tokens(asked.prompt), tokens(text)
        content = {"role": "model", "parts": [{"text": text}]} if text else {"role": "model"}
        return {
            "candidates": [{"content": content, "finishReason": reasons[finish], "index": 0}],
            "usageMetadata": {"promptTokenCount": given, "candidatesTokenCount": said, "totalTokenCount": given + said},
            "modelVersion": asked.model,
        }

    @staticmethod
    def error(fault: Fault) -> Json:
        status, details = fault.kind, list(fault.details)
        if fault.kind == "API_KEY_INVALID":
            status = "INVALID_ARGUMENT"
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})
        code = 400 if fault.kind == "API_KEY_INVALID" else fault.status
        return {"error": {"code": code, "message": fault.message, "status": status, "details": details}}


Speaker = type[OpenAi] | type[Anthropic] | type[Google]


def speaker_for(path: str) -> Speaker | None:
    """Which format a path belongs to, whatever base path it has."""
    if path.endswith("/chat/completions"):
        return OpenAi
    if path.endswith("/messages"):
        return Anthropic
    return Google if "/models/" in path and path.endswith(":generateContent") else None


def speaker_of(headers: Mapping[str, str]) -> Speaker:
    """Which format a client speaks that sends its key in this header."""
    if "x-goog-api-key" in headers:
        return Google
    return Anthropic if "x-api-key" in headers else OpenAi


def fault_for(speaker: Speaker, name: str, asked: Asked) -> Fault:
    """The error that a directive names: a status, `quota` or `context`."""
    if name == "context":
        over = {
            OpenAi: "This model's maximum context length is 8 tokens.",
            Anthropic: f"prompt is too long: {tokens(asked.prompt)} tokens > 8 maximum",
            Google: f"The input token count ({tokens(asked.prompt)}) exceeds the maximum number of tokens allowed (8).",
        }
        return Fault(400, speaker.kinds["context"], over[speaker], {})
    if name == "quota":
        violation = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
        status = 402 if speaker is Anthropic else 429
        return Fault(status, speaker.kinds["quota"], "You exceeded your current quota.", {}, (violation,))
    status = int(name)
    kind = speaker.kinds.get(status) or (speaker.kinds[500] if status >= 500 else speaker.kinds[400])
    headers = {"retry-after": "3"} if status in (429, 503, 529) and speaker is not Google else {}
    retry = ({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},) if status == 429 else ()
    return Fault(status, kind, f"Simulated {status}.", headers, retry)


def tokens(text: str) -> int:
    """A token count such as a real tokenizer would come near to."""
    return math.ceil(len(text) / 4)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise Malformed("a text was expected")
    return value
