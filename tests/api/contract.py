"""Holds every answer to what the description says of it, so that the description is true.

What is published lets answers gain fields one day; here they have exactly the fields that are described.
"""

from typing import Any

import jsonschema_rs
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api.openapi.document import Document, address
from api.prefix import PREFIXES

Json = dict[str, Any]
PROMISED = ("Location", "Retry-After", "ETag", "WWW-Authenticate")


class Contract:
    """The description of one application, as a judge of its answers."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.document: Json = Document(app).content
        self._components = {"schemas": _exact(self.document["components"]["schemas"])}
        self._validators: dict[str, Any] = {}

    def operation(self, path: str, method: str) -> tuple[str, Json] | None:
        """The operation that answers, and its address; None for what is no route."""
        for prefix in PREFIXES:
            path = path.removeprefix(prefix) if path.startswith(prefix + "/") else path
        try:
            rule, _ = self._app.url_map.bind("").match(path, method=method, return_rule=True)
        except HTTPException:
            return None
        described = self.document["paths"].get(address(rule), {})
        return (address(rule), described[method.lower()]) if method.lower() in described else None

    def check(self, path: str, method: str, response: TestResponse) -> None:
        """Raises `AssertionError` when the answer is not as described."""
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
        if response.is_json and "x-codes" in said:
            assert response.json["code"] in said["x-codes"], f"{place} with {response.json['code']}"

    def _check_body(self, place: str, content: Json, response: TestResponse) -> None:
        if not content:
            assert response.get_data() == b"", f"{place} with a body"
            return
        assert response.mimetype in content, f"{place} as {response.mimetype}"
        if response.is_json:
            validator = self._validator(place, content[response.mimetype]["schema"])
            error = next(validator.iter_errors(response.json), None)
            assert error is None, f"{place}: {error.message} at {list(error.instance_path)}"

    def _validator(self, place: str, schema: Json) -> Any:
        if place not in self._validators:
            whole = {**_exact(schema), "components": self._components}
            self._validators[place] = jsonschema_rs.validator_for(whole, validate_formats=True)
        return self._validators[place]

    def _resolved(self, said: Json | None) -> Json | None:
        if said is None or "$ref" not in said:
            return said
        resolved: Json = self.document["components"]["responses"][said["$ref"].rpartition("/")[2]]
        return resolved


def _exact(schema: Any) -> Any:
    """The same schema, where objects have the properties that are listed and no others."""
    if isinstance(schema, list):
        return [_exact(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    exact = {name: _exact(inner) for name, inner in schema.items()}
    is_object = exact.get("type") == "object" and isinstance(exact.get("properties"), dict)
    return {**exact, "additionalProperties": False} if is_object else exact


class CheckedClient(FlaskClient):
    """A client whose every answer is held to the description."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Ask, and check what comes back."""
        response = super().open(*args, **kwargs)
        if response.mimetype != "text/event-stream":  # which goes on as long as one listens
            contract: Contract = self.application.extensions["contract"]
            contract.check(response.request.path, response.request.method, response)
        return response
