"""Builds the OpenAPI 3.1 description of the whole API from the URL map, the views and their schemas."""

import inspect
import re
from collections.abc import Iterator
from functools import cached_property

from apispec import APISpec
from flask import Flask
from werkzeug.routing import Rule

from api.auth.cookies import CSRF_HEADER, SESSION_COOKIE
from api.limits.rate_limits import UNCOUNTED
from api.openapi import Description, headers, operations
from api.openapi.shapes import Plugin
from models.serialization import JsonObject

TITLE = "AgentForge"
VERSION = "1.0.0"
ABOUT = """\
AgentForge lets people build workflows of AI agents, run them, watch them, and pay for what they use.

The same routes answer under `/api`, under `/v1` and at the root of the host. Bodies are JSON in camelCase; times are
ISO 8601 in UTC, ids are UUIDs, credits are numbers with at most two decimals, durations are seconds. Every error is a
problem document (RFC 9457): decide by its `code`; sentences may change. Responses may gain fields.
"""
PROBLEM: JsonObject = {
    "type": "object",
    "description": "An error (RFC 9457). `message` and `error` repeat `detail` and `title`.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "instance": {"type": "string"},
        "message": {"type": "string"},
        "error": {"type": "string"},
        "limit": {"type": "integer", "description": "If a limit was reached: its value."},
        "current": {"type": "number", "description": "If a limit was reached: how much is in use."},
        "workflow": {
            "description": "With `precondition_failed`: the workflow as it is stored.",
            "$ref": "#/components/schemas/Workflow",
        },
        "schedule": {
            "description": "With `precondition_failed`: the schedule as it is stored.",
            "$ref": "#/components/schemas/ScheduleDetail",
        },
        "errors": {
            "type": "array",
            "description": "The fields with errors, as dotted paths such as `nodes.3.config.url`.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
            },
        },
    },
    "required": ["code", "detail", "error", "instance", "message", "status", "title", "type"],
}
SECURITY: JsonObject = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token from signing in, or an access key (`oc-...`) for programs.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "The session of a browser that signed in with `session: cookie`; `__Host-` before the name in"
        " production.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "The value of the cookie `agentforge_csrf`, with every change by the session cookie.",
    },
    "stripeSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Stripe-Signature",
        "description": "Stripe's signature of the raw body.",
    },
}


class NotDescribed(LookupError):
    """A view has no `@describes`."""


class Document:
    """The OpenAPI description of one application."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._plugin = Plugin()
        self._spec = APISpec(
            title=TITLE,
            version=VERSION,
            openapi_version="3.1.0",
            plugins=[self._plugin],
            info={"description": ABOUT},
            servers=[{"url": "/api"}, {"url": "/v1"}, {"url": "/"}],
        )

    @cached_property
    def content(self) -> JsonObject:
        """The document as a JSON object; raises `NotDescribed`."""
        self._components()
        seen: set[str] = set()
        tags: dict[str, str] = {}
        for rule, method in _routes(self._app):
            view = self._app.view_functions[rule.endpoint]
            tag = rule.endpoint.partition(".")[0]
            tags.setdefault(tag, _first_sentence(inspect.unwrap(view).__globals__["__doc__"]))
            name = rule.endpoint.replace(".", "_")
            name = name if name not in seen else f"{name}_alias"
            seen.add(name)
            self._spec.path(path=address(rule), operations={method: self._operation(rule, method, name, tag)})
        for tag, sentence in sorted(tags.items()):
            self._spec.tag({"name": tag, "description": sentence})
        return self._spec.to_dict()

    def _operation(self, rule: Rule, method: str, name: str, tag: str) -> JsonObject:
        view = self._app.view_functions[rule.endpoint]
        description: Description | None = getattr(view, "described", None)
        if description is None:
            raise NotDescribed(f"{rule.endpoint} has no @describes")
        guards = self._app.before_request_funcs.get(tag, [])
        needs = operations.Needs(
            rule=rule,
            method=method,
            signed_in=any(getattr(guard, "signed_in", False) for guard in (view, *guards)),
            restricted=bool(guards),
            idempotent=getattr(view, "idempotent", False),
            counted=tag not in UNCOUNTED,
        )
        operation = operations.Operation(description, needs, self._plugin, self._spec)
        return {"operationId": name, "tags": [tag], **_summary_of(view.__doc__), **operation.content()}

    def _components(self) -> None:
        components = self._spec.components
        components.schema("Problem", PROBLEM)
        for name, scheme in SECURITY.items():
            components.security_scheme(name, scheme)
        for name, header in headers.RESPONSE_HEADERS.items():
            components.header(name, header)
        for name, parameter in headers.parameters().items():
            components.parameter(name, "header", parameter)


def address(rule: Rule) -> str:
    """The path of a rule in OpenAPI's form: `/workflows/{workflowId}`."""
    return re.sub(r"<(?:[^:<>]+:)?(\w+)>", lambda found: "{" + operations.camel(found[1]) + "}", rule.rule)


def _routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    for rule in rules:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method.lower()


def _summary_of(docstring: str | None) -> JsonObject:
    """Summary and description of an operation: the first sentence of its docstring, and all of it."""
    text = " ".join((docstring or "").split())
    return {"summary": _first_sentence(text).rstrip("."), "description": text}


def _first_sentence(docstring: str | None) -> str:
    text = " ".join((docstring or "").split())
    return re.split(r"(?<=[.;:])\s", text, maxsplit=1)[0].rstrip(";:")
