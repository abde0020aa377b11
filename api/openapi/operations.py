"""One operation: what was said of its view, and everything that follows from where it stands and how it is guarded."""

from dataclasses import dataclass
from typing import Any

from apispec import APISpec
from werkzeug.routing import AnyConverter, IntegerConverter, Rule, UUIDConverter

from api.openapi import LOCATED, Description, Shape, headers, problems
from api.openapi.examples import example
from api.openapi.shapes import Plugin

Json = dict[str, Any]

WORDS = {
    200: "Done.",
    201: "Created.",
    202: "Accepted; it is worked on.",
    204: "Done; there is nothing to say.",
    302: "It is elsewhere.",
    304: "Nothing changed since that `ETag`.",
    503: "Something is down.",
}
OF_STRIPE = frozenset(problems.FROM_STRIPE)


@dataclass(frozen=True)
class Needs:
    """What stands around a view."""

    rule: Rule
    method: str
    signed_in: bool
    restricted: bool  # to administrators: to others it is not there
    idempotent: bool
    counted: bool


class Operation:
    """Puts one operation together."""

    def __init__(self, said: Description, needs: Needs, plugin: Plugin, spec: APISpec) -> None:
        self._said, self._needs, self._plugin, self._spec = said, needs, plugin, spec

    def content(self) -> Json:
        """The operation object, without its names."""
        said = self._said
        found: Json = {"security": self._security(), "parameters": self._parameters()}
        if said.takes is not None:
            found["requestBody"] = {
                "required": not said.optional,
                "content": self._body(said.takes, "application/json"),
            }
        found["responses"] = dict(sorted((self._refusals() | self._answers()).items()))
        return {name: value for name, value in found.items() if value or name == "security"}

    def _security(self) -> list[Json]:
        if "Stripe-Signature" in self._said.headers:
            return [{"stripeSignature": []}]
        return [{"bearer": []}] if self._needs.signed_in else []

    def _parameters(self) -> list[Json | str]:
        found: list[Json | str] = [self._in_address(name) for name in sorted(self._needs.rule.arguments)]
        if self._said.asks is not None:
            found += self._plugin.arguments(self._said.asks)
        wanted = {"Idempotency-Key": self._needs.idempotent, "Prefer": self._said.waits is not None}
        wanted["If-None-Match"] = "ETag" in self._said.headers
        wanted["Last-Event-ID"] = self._said.media == "text/event-stream"
        return found + [name for name, is_wanted in wanted.items() if is_wanted]

    def _in_address(self, name: str) -> Json:
        converter = self._needs.rule._converters[name]
        schema: Json = {"type": "string", "minLength": 1}
        if isinstance(converter, IntegerConverter):
            schema = {"type": "integer", "minimum": 0}
        elif isinstance(converter, UUIDConverter):
            schema = {"type": "string", "format": "uuid"}
        elif isinstance(converter, AnyConverter):
            schema = {"type": "string", "enum": sorted(converter.items)}
        what = name.removesuffix("_id").replace("_", " ")
        return {"name": camel(name), "in": "path", "required": True, "description": f"Which {what}.", "schema": schema}

    def _answers(self) -> Json:
        said = self._said
        shapes = {said.status: said.answers, **said.also} | ({202: said.waits} if said.waits else {})
        return {str(status): self._answer(status, shape) for status, shape in shapes.items()}

    def _answer(self, status: int, shape: Shape) -> Json:
        names = [*headers.USUAL, *(headers.COUNTED if self._needs.counted else ())]
        sent = set(self._said.headers) & headers.ANSWERS.keys()
        names += sorted(sent | (set(LOCATED) if status == 202 and self._said.waits else set()))
        if self._needs.idempotent:
            names.append("Idempotent-Replayed")
        found: Json = {"description": WORDS[status], "headers": {name: name for name in dict.fromkeys(names)}}
        if shape is not None:
            found["content"] = self._body(
                shape, self._said.media if status == self._said.status else "application/json"
            )
        return found

    def _body(self, shape: Shape, media: str | tuple[str, ...]) -> Json:
        schema = self._plugin.shape(shape)
        if media != "application/json":
            return {kind: {"schema": schema} for kind in ((media,) if isinstance(media, str) else media)}
        return {media: {"schema": schema, "example": example(schema, self._spec.components.schemas)}}

    def _refusals(self) -> Json:
        """Each status by reference, because the same ones come again and again."""
        return {
            str(status): self._refusal(status, codes) for status, codes in problems.by_status(self._codes()).items()
        }

    def _codes(self) -> set[str]:
        needs, said = self._needs, self._said
        codes = {"internal_error", "temporarily_unavailable", "overloaded", *said.refuses}
        codes |= {"rate_limited"} if needs.counted else set()
        if needs.signed_in:
            codes |= {"not_authenticated", "token_expired", "token_reused", "insufficient_scope"}
        codes |= {"not_found"} if needs.restricted or needs.rule.arguments else set()
        codes |= {"invalid_input"} if said.takes or said.asks else set()
        if said.takes or needs.method in ("post", "put"):
            codes |= {"malformed_request", "body_too_large", "unsupported_media_type"}
        if needs.idempotent:
            codes |= {"invalid_input", "idempotency_in_progress", "idempotency_key_reused"}
        return codes | (OF_STRIPE if said.waits else frozenset())

    def _refusal(self, status: int, codes: list[str]) -> str:
        is_open = self._said.waits is not None and status in problems.OPEN
        name = "_".join([str(status), *codes, *(["and_others"] if is_open else [])])
        components = self._spec.components
        for code in codes:
            if code not in components.examples:
                components.example(code, {"value": problems.example(code)})
        if name not in components.responses:
            components.response(name, _problem(status, codes, is_open))
        return name


def camel(name: str) -> str:
    """The name as the wire has it."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _problem(status: int, codes: list[str], is_open: bool) -> Json:
    meant = problems.known()
    names = [*headers.USUAL, *{401: ["WWW-Authenticate"], 429: ["Retry-After", *headers.COUNTED]}.get(status, [])]
    names += ["Retry-After"] if status == 503 else []
    listed = {} if is_open else {"x-codes": codes}
    return {
        "description": "\n".join(f"- `{code}`: {meant[code][1]}" for code in codes),
        "headers": {name: name for name in names},
        "content": {"application/problem+json": {"schema": "Problem", "examples": {code: code for code in codes}}},
        **listed,
    }
