"""Converts marshmallow's schemas to JSON Schema by apispec, extended by our own fields and response shapes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from api.openapi import Page, Shape
from api.schemas.base import Out
from models.serialization import JsonObject

PAGE: JsonObject = {
    "count": {"type": "integer", "description": "The number of items on this page."},
    "limit": {"type": "integer"},
    "offset": {"type": "integer"},
}
CURSOR: JsonObject = {
    "nextCursor": {"type": ["string", "null"], "description": "The `cursor` of the next page, if any."}
}


class ShapesConverter(OpenAPIConverter):
    """A converter that knows our own fields and takes descriptions from docstrings."""

    def field2type_and_format(self, field: fields.Field[Any], **kwargs: Any) -> JsonObject:
        """The shape of a field: our own fields have it as their attribute `shape`."""
        shape: Mapping[str, Any] | None = getattr(field, "shape", None)
        return super().field2type_and_format(field, **kwargs) if shape is None else dict(shape)

    def field2property(self, field: fields.Field[Any]) -> JsonObject:
        """The property of a field: enums are strings, null is one of their values if allowed, bounds are numbers."""
        found: JsonObject = {name: _raw(value) for name, value in super().field2property(field).items()}
        if "pattern" in found:  # marshmallow matches from the start, and JSON has no `\Z`
            found["pattern"] = "^" + found["pattern"].removeprefix("^").replace(r"\Z", "$")
        if isinstance(field, fields.Enum):
            found["type"] = ["string", "null"] if field.allow_none else "string"
        if field.allow_none and "enum" in found and None not in found["enum"]:
            found["enum"] = [*found["enum"], None]
        return found

    def schema2jsonschema(self, schema: Any) -> JsonObject:
        """The schema with its docstring as description; schemas of responses have no bounds."""
        found: JsonObject = super().schema2jsonschema(schema)
        kind = schema if isinstance(schema, type) else type(schema)
        found["description"] = " ".join((kind.__doc__ or "").split())
        if issubclass(kind, Out):
            for inner in found["properties"].values():
                _without_bounds(inner)
        return found


class Plugin(MarshmallowPlugin):
    """Marshmallow's plugin for apispec with our converter."""

    Converter = ShapesConverter
    converter: ShapesConverter

    def __init__(self) -> None:
        super().__init__(schema_name_resolver=_name)

    def shape(self, shape: Shape) -> JsonObject:
        """The JSON Schema of a response given to `describes`."""
        match shape:
            case Page():
                inner = {shape.name: {"type": "array", "items": self.shape(shape.item)}, **PAGE}
                return _object(inner | (CURSOR if shape.has_cursor else {}))
            case list():
                return {"type": "array", "items": self.shape(shape[0])}
            case tuple():
                return {"anyOf": [self.shape(inner) for inner in shape]}
            case Mapping():
                return _object({name: self.shape(inner) for name, inner in shape.items()})
            case fields.Field():
                return self.converter.field2property(shape)
        found: JsonObject = self.converter.resolve_nested_schema(shape)
        return found

    def arguments(self, query: type[Schema]) -> list[JsonObject]:
        """The parameters of a query string, which cannot be null."""
        found: list[JsonObject] = self.converter.schema2parameters(query(), location="query")
        for parameter in found:
            parameter["schema"] = _without_null(parameter["schema"])
        return found


def _object(properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return str(kind.__name__).removesuffix("Out")


def _raw(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _without_bounds(schema: JsonObject) -> None:
    schema.pop("minimum", None)
    schema.pop("maximum", None)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            _without_bounds(inner)


def _without_null(schema: JsonObject) -> JsonObject:
    kept = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    if isinstance(kept.get("type"), list):
        kept["type"] = next(kind for kind in kept["type"] if kind != "null")
    if "enum" in kept:
        kept["enum"] = [value for value in kept["enum"] if value is not None]
    return kept
