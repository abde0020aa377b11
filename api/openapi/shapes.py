"""From marshmallow's schemas to JSON Schema: apispec does it, and here it learns the fields that are our own."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from api.openapi import Page, Shape
from api.schemas.base import Out

Json = dict[str, Any]

PAGE: Json = {
    "count": {"type": "integer", "description": "How many items there are on this page."},
    "limit": {"type": "integer"},
    "offset": {"type": "integer"},
}
CURSOR: Json = {"nextCursor": {"type": ["string", "null"], "description": "Where the next page begins."}}


class ShapesConverter(OpenAPIConverter):
    """Knows what our fields look like on the wire, and takes descriptions from docstrings."""

    def field2type_and_format(self, field: fields.Field[Any], **kwargs: Any) -> Json:
        """A field of ours says its shape itself."""
        shape: Mapping[str, Any] | None = getattr(field, "shape", None)
        return super().field2type_and_format(field, **kwargs) if shape is None else dict(shape)

    def field2property(self, field: fields.Field[Any]) -> Json:
        """Words are texts, and null is one of them where it may be; bounds are numbers of JSON."""
        found: Json = {name: _plain(value) for name, value in super().field2property(field).items()}
        if "pattern" in found:  # marshmallow matches from the start, and JSON has no `\Z`
            found["pattern"] = "^" + found["pattern"].removeprefix("^").replace(r"\Z", "$")
        if isinstance(field, fields.Enum):
            found["type"] = ["string", "null"] if field.allow_none else "string"
        if field.allow_none and "enum" in found and None not in found["enum"]:
            found["enum"] = [*found["enum"], None]
        return found

    def schema2jsonschema(self, schema: Any) -> Json:
        """The schema with its docstring; bounds are for what is sent to us."""
        found: Json = super().schema2jsonschema(schema)
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

    def shape(self, said: Shape) -> Json:
        """The JSON Schema of what was said in `describes`."""
        match said:
            case Page():
                inner = {said.name: {"type": "array", "items": self.shape(said.item)}, **PAGE}
                return _object(inner | (CURSOR if said.has_cursor else {}))
            case list():
                return {"type": "array", "items": self.shape(said[0])}
            case tuple():
                return {"anyOf": [self.shape(inner) for inner in said]}
            case Mapping():
                return _object({name: self.shape(inner) for name, inner in said.items()})
            case fields.Field():
                return self.converter.field2property(said)
        found: Json = self.converter.resolve_nested_schema(said)
        return found

    def arguments(self, asks: type[Schema]) -> list[Json]:
        """The arguments of an address; there is no null in one."""
        found: list[Json] = self.converter.schema2parameters(asks(), location="query")
        for parameter in found:
            parameter["schema"] = _without_null(parameter["schema"])
        return found


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return str(kind.__name__).removesuffix("Out")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _without_bounds(schema: Json) -> None:
    schema.pop("minimum", None)
    schema.pop("maximum", None)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            _without_bounds(inner)


def _without_null(schema: Json) -> Json:
    kept = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    if isinstance(kept.get("type"), list):
        kept["type"] = next(word for word in kept["type"] if word != "null")
    if "enum" in kept:
        kept["enum"] = [word for word in kept["enum"] if word is not None]
    return kept
