"""The three wire formats on the server's side: reading requests, writing responses and errors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Json = Any
TOOL = {"name": "search_the_web", "arguments": "{}"}  # not offered by any request


@dataclass(frozen=True)
class ModelRequest:
    """A request of any of the formats."""

    model: str
    prompt: str
    max_tokens: int | None


@dataclass(frozen=True)
class ModelFault:
    """An error response: status, the format's error word, a sentence, headers."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str]
    details: tuple[Json, ...] = ()


class Malformed(Exception):
    """The request does not fit the format; the sentence says why."""


class OpenAi:
    """OpenAI's Chat Completions."""

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
    def read(path: str, body: Json) -> ModelRequest:
        messages = [m["content"] for m in body["messages"] if m["role"] == "user"]
        return ModelRequest(_text(body["model"]), "\n".join(map(_text, messages)), body.get("max_completion_tokens"))

    @staticmethod
    def answer(asked: ModelRequest, text: str, finish: str) -> Json:
        reasons = {"stop": "stop", "length": "length", "refuse": "content_filter", "tool": "tool_calls"}
        given, said = tokens(asked.prompt), tokens(text)
        message: dict[str, Json] = {"role": "assistant", "content": text, "refusal": None}
        if finish == "think":
            message["reasoning_content"] = "Let me think about it."
        if finish == "tool":
            message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": TOOL}]}
        return {
            "id": "chatcmpl-simulated",
            "object": "chat.completion",
            "model": asked.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reasons.get(finish, "stop")}],
            "usage": {"prompt_tokens": given, "completion_tokens": said, "total_tokens": given + said},
        }

    @staticmethod
    def error(fault: ModelFault) -> Json:
        kind = "insufficient_quota" if fault.kind == "insufficient_quota" else "invalid_request_error"
        code = int(fault.kind) if fault.kind.isdigit() else fault.kind or None
        return {"error": {"message": fault.message, "type": kind if code else None, "param": None, "code": code}}


class Anthropic:
    """Anthropic's Messages."""

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
    def read(path: str, body: Json) -> ModelRequest:
        if not isinstance(body.get("max_tokens"), int):
            raise Malformed("max_tokens: Field required")
        prompt = "\n".join(_text(m["content"]) for m in body["messages"] if m["role"] == "user")
        return ModelRequest(_text(body["model"]), prompt, body["max_tokens"])

    @staticmethod
    def answer(asked: ModelRequest, text: str, finish: str) -> Json:
        reasons = {"length": "max_tokens", "refuse": "refusal", "tool": "tool_use"}
        blocks: list[Json] = [{"type": "text", "text": text}] if text else []
        if finish == "think":
            blocks.append({"type": "thinking", "thinking": "Let me think about it.", "signature": "x"})
        if finish == "tool":
            blocks.append({"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": {}})
        return {
            "id": "msg_simulated",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": blocks,
            "stop_reason": reasons.get(finish, "end_turn"),
            "stop_sequence": None,
            "usage": {"input_tokens": tokens(asked.prompt), "output_tokens": tokens(text)},
        }

    @staticmethod
    def error(fault: ModelFault) -> Json:
        return {"type": "error", "error": {"type": fault.kind, "message": fault.message}}


class Google:
    """Google's generateContent."""

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
    def read(path: str, body: Json) -> ModelRequest:
        texts = [_text(part["text"]) for content in body["contents"] for part in content["parts"]]
        model = path.rsplit("/", 1)[-1].removesuffix(":generateContent")
        return ModelRequest(model, "\n".join(texts), (body.get("generationConfig") or {}).get("maxOutputTokens"))

    @staticmethod
    def answer(asked: ModelRequest, text: str, finish: str) -> Json:
        reasons = {"length": "MAX_TOKENS", "refuse": "SAFETY", "tool": "UNEXPECTED_TOOL_CALL"}
        given, said = tokens(asked.prompt), tokens(text)
        parts: list[Json] = [{"text": text}] if text else []
        if finish == "think":
            parts.append({"text": "Let me think about it.", "thought": True})
        if finish == "tool":
            parts.append({"functionCall": {"name": TOOL["name"], "args": {}}})
        content = {"role": "model", **({"parts": parts} if parts else {})}
        return {
            "candidates": [{"content": content, "finishReason": reasons.get(finish, "STOP"), "index": 0}],
            "usageMetadata": {"promptTokenCount": given, "candidatesTokenCount": said, "totalTokenCount": given + said},
            "modelVersion": asked.model,
        }

    @staticmethod
    def error(fault: ModelFault) -> Json:
        status, details = fault.kind, list(fault.details)
        if fault.kind == "API_KEY_INVALID":
            status = "INVALID_ARGUMENT"
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})
        code = 400 if fault.kind == "API_KEY_INVALID" else fault.status
        return {"error": {"code": code, "message": fault.message, "status": status, "details": details}}


Speaker = type[OpenAi] | type[Anthropic] | type[Google]


def speaker_for(path: str) -> Speaker | None:
    """The format of a path, below any base path."""
    if path.endswith("/chat/completions"):
        return OpenAi
    if path.endswith("/messages"):
        return Anthropic
    return Google if "/models/" in path and path.endswith(":generateContent") else None


def speaker_of(headers: Mapping[str, str]) -> Speaker:
    """The format of a client, by the header of its key."""
    if "x-goog-api-key" in headers:
        return Google
    return Anthropic if "x-api-key" in headers else OpenAi


def tokens(text: str) -> int:
    """An approximate token count."""
    return math.ceil(len(text) / 4)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise Malformed("a text was expected")
    return value
