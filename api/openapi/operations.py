"""Builds the OpenAPI operation of a view from its description, its route and its decorators."""

from dataclasses import dataclass

from apispec import APISpec
from werkzeug.routing import AnyConverter, IntegerConverter, Rule, UUIDConverter

from api.openapi import LOCATED, Description, Shape, headers, problems
from api.openapi.examples import example
from api.openapi.shapes import Plugin
from models.serialization import JsonObject

DESCRIPTIONS = {
    200: "Done.",
    201: "Created.",
    202: "Accepted and in progress.",
    204: "Done; the response has no body.",
    302: "Redirect.",
    304: "Not changed since that `ETag`.",
    503: "A part of the service is down.",
}
OF_STRIPE = frozenset(problems.FROM_STRIPE)


@dataclass(frozen=True)
class Needs:
    """The route of a view and its decorators."""

    rule: Rule
    method: str
    signed_in: bool
    restricted: bool  # to administrators; others get 404
    idempotent: bool
    counted: bool


class Operation:
    """Builds one operation."""

    def __init__(self, described: Description, needs: Needs, plugin: Plugin, spec: APISpec) -> None:
        self._described, self._needs, self._plugin, self._spec = described, needs, plugin, spec

    def content(self) -> JsonObject:
        """The operation object, without its id, tags and summary."""
        described = self._described
        found: JsonObject = {"security": self._security(), "parameters": self._parameters()}
        if described.body is not None:
            found["requestBody"] = {
                "required": not described.optional,
                "content": self._body(described.body, "application/json"),
            }
        found["responses"] = dict(sorted((self._errors() | self._responses()).items()))
        return {name: value for name, value in found.items() if value or name == "security"}

    def _security(self) -> list[JsonObject]:
        if "Stripe-Signature" in self._described.headers:
            return [{"stripeSignature": []}]
        if not self._needs.signed_in:
            return []
        csrf: JsonObject = {} if self._needs.method == "get" else {"csrf": []}
        return [{"bearer": []}, {"cookie": []} | csrf]

    def _parameters(self) -> list[JsonObject | str]:
        found: list[JsonObject | str] = [self._in_address(name) for name in sorted(self._needs.rule.arguments)]
        if self._described.query is not None:
            found += self._plugin.arguments(self._described.query)
        wanted = {"Idempotency-Key": self._needs.idempotent, "Prefer": self._described.pending_response is not None}
        wanted["If-None-Match"] = 304 in self._described.other_responses
        wanted["If-Match"] = "precondition_failed" in self._described.errors
        wanted["Last-Event-ID"] = self._described.media == "text/event-stream"
        return found + [name for name, is_wanted in wanted.items() if is_wanted]

    def _in_address(self, name: str) -> JsonObject:
        converter = self._needs.rule._converters[name]
        schema: JsonObject = {"type": "string", "minLength": 1}
        if isinstance(converter, IntegerConverter):
            schema = {"type": "integer", "minimum": 0}
        elif isinstance(converter, UUIDConverter):
            schema = {"type": "string", "format": "uuid"}
        elif isinstance(converter, AnyConverter):
            schema = {"type": "string", "enum": sorted(converter.items)}
        subject = name.removesuffix("_id").replace("_", " ")
        found = f"The id of the {subject}." if name.endswith("_id") else f"The {subject}."
        return {"name": camel(name), "in": "path", "required": True, "description": found, "schema": schema}

    def _responses(self) -> JsonObject:
        described = self._described
        shapes = {described.status: described.response, **described.other_responses} | (
            {202: described.pending_response} if described.pending_response else {}
        )
        return {str(status): self._response(status, shape) for status, shape in shapes.items()}

    def _response(self, status: int, shape: Shape) -> JsonObject:
        names = [*headers.USUAL, *(headers.COUNTED if self._needs.counted else ())]
        sent = set(self._described.headers) & headers.RESPONSE_HEADERS.keys()
        names += sorted(sent | (set(LOCATED) if status == 202 and self._described.pending_response else set()))
        if status == 302:
            names.append("Location")
        if self._needs.idempotent:
            names.append("Idempotent-Replayed")
        if self._needs.signed_in and not self._needs.restricted and self._needs.method != "get" and shape is not None:
            names.append("Missing-Scope")
        found: JsonObject = {
            "description": DESCRIPTIONS[status],
            "headers": {name: name for name in dict.fromkeys(names)},
        }
        if shape is not None:
            found["content"] = self._body(
                shape, self._described.media if status == self._described.status else "application/json"
            )
        return found

    def _body(self, shape: Shape, media: str | tuple[str, ...]) -> JsonObject:
        schema = self._plugin.shape(shape)
        if media != "application/json":
            return {kind: {"schema": schema} for kind in ((media,) if isinstance(media, str) else media)}
        return {media: {"schema": schema, "example": example(schema, self._spec.components.schemas)}}

    def _errors(self) -> JsonObject:
        """The errors by status, as references, because many operations share them."""
        return {str(status): self._error(status, codes) for status, codes in problems.by_status(self._codes()).items()}

    def _codes(self) -> set[str]:
        needs, described = self._needs, self._described
        codes = {"internal_error", "temporarily_unavailable", "overloaded", *described.errors}
        codes |= {"rate_limited"} if needs.counted else set()
        if needs.signed_in:
            codes |= {"not_authenticated", "token_expired", "token_reused", "insufficient_scope"}
            codes |= set() if needs.method == "get" else {"csrf_failed"}
        codes |= {"not_found"} if needs.restricted or needs.rule.arguments else set()
        codes |= {"invalid_input"} if described.body or described.query else set()
        if described.body or needs.method in ("post", "put"):
            codes |= {"malformed_request", "body_too_large", "unsupported_media_type"}
        if needs.idempotent:
            codes |= {"invalid_input", "idempotency_in_progress", "idempotency_key_reused"}
        return codes | (OF_STRIPE if described.pending_response else frozenset())

    def _error(self, status: int, codes: list[str]) -> str:
        is_open = self._described.pending_response is not None and status in problems.OPEN
        name = "_".join([str(status), *codes, *(["and_others"] if is_open else [])])
        components = self._spec.components
        for code in codes:
            if code not in components.examples:
                components.example(code, {"value": problems.example(code)})
        if name not in components.responses:
            components.response(name, _problem(status, codes, is_open))
        return name


def camel(name: str) -> str:
    """The camelCase form of a snake_case name."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _problem(status: int, codes: list[str], is_open: bool) -> JsonObject:
    meant = problems.known()
    names = [
        *headers.USUAL,
        *{401: ["WWW-Authenticate"], 412: ["ETag"], 429: ["Retry-After", *headers.COUNTED]}.get(status, []),
    ]
    names += ["Retry-After"] if status == 503 else []
    listed = {} if is_open else {"x-codes": codes}
    return {
        "description": "\n".join(f"- `{code}`: {meant[code][1]}" for code in codes),
        "headers": {name: name for name in names},
        "content": {"application/problem+json": {"schema": "Problem", "examples": {code: code for code in codes}}},
        **listed,
    }
