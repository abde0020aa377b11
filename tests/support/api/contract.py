"""Checks every response of the API's tests against the OpenAPI description.

The published description allows additional fields for later; here responses must have exactly the described ones.
"""

from typing import Any

import jsonschema_rs
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api.http.mounts import MOUNT_POINTS
from api.openapi.document import Document, address
from models.serialization import JsonObject

PROMISED = ("Location", "Retry-After", "ETag", "WWW-Authenticate")


class Contract:
    """The description of one application, to check its responses."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.document: JsonObject = Document(app).content
        self._components = {"schemas": _exact(self.document["components"]["schemas"])}
        self._validators: dict[str, Any] = {}

    def operation(self, path: str, method: str) -> tuple[str, JsonObject] | None:
        """The operation that handles a request, and its path; None when there is no such route."""
        for prefix in MOUNT_POINTS:
            path = path.removeprefix(prefix) if path.startswith(prefix + "/") else path
        try:
            rule, _ = self._app.url_map.bind("").match(path, method=method, return_rule=True)
        except HTTPException:
            return None
        described = self.document["paths"].get(address(rule), {})
        return (address(rule), described[method.lower()]) if method.lower() in described else None

    def check(self, path: str, method: str, response: TestResponse) -> None:
        """Raise `AssertionError` when the response differs from its description."""
        found = self.operation(path, method)
        if found is None:
            return
        place, operation = f"{method} {found[0]} answered {response.status_code}", found[1]
        said = self._resolved(operation["responses"].get(str(response.status_code)))
        assert said is not None, f"{place}, which is not described: {response.get_data(as_text=True)[:300]}"
        for name in PROMISED:
            replayed = "Idempotent-Replayed" in response.headers
            assert name not in said.get("headers", {}) or name in response.headers or replayed, (
                f"{place} without {name}"
            )
        self._check_body(place, said.get("content", {}), response)
        if response.mimetype == "application/problem+json":
            self._check_problem(place, said, response)

    def _check_problem(self, place: str, said: JsonObject, response: TestResponse) -> None:
        problem = response.json
        assert problem["code"] in said.get("x-codes", [problem["code"]]), f"{place} with {problem['code']}"
        if response.status_code == 429 or problem["code"].endswith("limit_reached"):
            assert {"limit", "current"} <= problem.keys(), f"{place} without what is allowed and what is in use"

    def _check_body(self, place: str, content: JsonObject, response: TestResponse) -> None:
        if not content:
            assert response.get_data() == b"", f"{place} with a body"
            return
        assert response.mimetype in content, f"{place} as {response.mimetype}"
        if response.is_json:
            schema = content[response.mimetype]["schema"]
            if "Missing-Scope" in response.headers:
                place, schema = f"{place} in part", _in_part(schema)
            validator = self._validator(place, schema)
            error = next(validator.iter_errors(response.json), None)
            assert error is None, f"{place}: {error.message} at {list(error.instance_path)}"

    def _validator(self, place: str, schema: JsonObject) -> Any:
        if place not in self._validators:
            components = _in_part(self._components) if place.endswith("in part") else self._components
            whole = {**_exact(schema), "components": components}
            self._validators[place] = jsonschema_rs.validator_for(whole, validate_formats=True)
        return self._validators[place]

    def _resolved(self, said: JsonObject | None) -> JsonObject | None:
        if said is None or "$ref" not in said:
            return said
        resolved: JsonObject = self.document["components"]["responses"][said["$ref"].rpartition("/")[2]]
        return resolved


def _exact(schema: Any) -> Any:
    """The same schema without additional properties."""
    if isinstance(schema, list):
        return [_exact(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    exact = {name: _exact(inner) for name, inner in schema.items()}
    is_object = exact.get("type") == "object" and isinstance(exact.get("properties"), dict)
    return {**exact, "additionalProperties": False} if is_object else exact


def _in_part(schema: Any) -> Any:
    """The same schema without required fields."""
    if isinstance(schema, list):
        return [_in_part(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _in_part(inner) for name, inner in schema.items() if not (name == "required" and isinstance(inner, list))
    }


class CheckedClient(FlaskClient):
    """A client that checks every response against the description."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send the request and check the response."""
        response = super().open(*args, **kwargs)
        if response.mimetype != "text/event-stream":  # a stream does not end by itself
            contract: Contract = self.application.extensions["contract"]
            contract.check(response.request.path, response.request.method, response)
        return response
