"""JSON Schema (draft 2020-12) of config fields and options, with annotations for forms.

The schema of a field allows nothing that the linter refuses, except that an expression in it may not compile. It is
stricter where the linter converts values, such as numbers that are written as text. The annotations are:

- `x-kind`: the kind of the field, as in `models.rules.graph.kinds.Field`;
- `x-expressions`: `template` (a text with `{{ }}` in it), `expression`, `either` (or the body of a function), `body`;
- `x-format`, `x-unit`: what a text or a number means;
- `x-when`: the values of other fields with which the field has an effect.
"""

from collections.abc import Iterable, Mapping

from models.rules.expressions.evaluate import MAX_SOURCE
from models.rules.graph.fields import MAX_CASE_NAME, MAX_CASES, RESERVED_CASES
from models.rules.graph.kinds import Field, NodeKind
from models.serialization import Json

Schema = dict[str, Json]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{"}
TEMPLATED = frozenset({"text", "number", "flag", "value", "object", "list"})
LOWEST, HIGHEST = -1e300, 1e300  # of numbers without bounds of their own


def object_schema(fields: Iterable[Field], *, computed: bool = True) -> Schema:
    """The schema of an object with these fields, and others; `computed` allows expressions."""
    listed = tuple(fields)
    properties = {field.name: field_schema(field, computed=computed) for field in listed}
    required = [field.name for field in listed if field.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def config_schema(kind: NodeKind) -> Schema:
    """The schema of a type's config; fields whose definition depends on a choice are refined by `allOf`."""
    if not kind.varies_by:
        return {"$schema": DIALECT, **object_schema(kind.fields)}
    chosen_by = next(field for field in kind.fields if field.name == kind.varies_by)
    usual = {field.name: field for field in kind.fields}
    variants = {choice: kind.fields_for({kind.varies_by: choice}) for choice in chosen_by.choices}
    every = usual | {field.name: field for fields in variants.values() for field in fields if field.name not in usual}
    refined = [
        {"if": _is_chosen(kind.varies_by, choice), "then": {"properties": changed}}
        for choice, fields in variants.items()
        if (changed := {field.name: field_schema(field) for field in fields if field != every[field.name]})
    ]
    return {"$schema": DIALECT, **object_schema(every.values()), **({"allOf": refined} if refined else {})}


def field_schema(field: Field, *, computed: bool = True) -> Schema:
    """The schema of one field; `computed` allows expressions."""
    shape = _shape(field)
    expressions = "template" if computed and field.kind in TEMPLATED else field.mode
    if expressions == "template" and field.kind not in ("text", "value"):
        shape = {"anyOf": [shape, TEMPLATE]}
    annotations = {
        "title": field.title,
        "description": field.help,
        "default": field.default,
        "examples": list(field.examples),
        "x-kind": field.kind,
        "x-expressions": expressions,
        "x-format": field.format,
        "x-unit": field.unit,
        "x-when": {name: list(values) for name, values in field.when.items()},
    }
    return shape | {name: value for name, value in annotations.items() if value not in (None, "", [], {})}


def _shape(field: Field) -> Schema:
    match field.kind:
        case "text":
            return {"type": "string", **({"minLength": 1} if field.required else {})}
        case "number":
            return _number(field)
        case "flag":
            return {"type": "boolean"}
        case "choice":
            return {"type": "string", "enum": [str(choice) for choice in field.choices]}
        case "object":
            return {"type": "object"}
        case "list":
            return {"type": "array"}
        case "condition" | "expression" | "code":
            return {"type": "string", "maxLength": MAX_SOURCE[field.mode or "expression"]}
        case "cases":
            return _cases()
        case _:
            return {}


def _number(field: Field) -> Schema:
    lower = "exclusiveMinimum" if field.above_low else "minimum"
    bounds = {
        lower: LOWEST if field.low is None else field.low,
        "maximum": HIGHEST if field.high is None else field.high,
    }
    return {"type": "integer" if field.whole else "number", **bounds}


def _cases() -> Schema:
    name = {
        "type": "string",
        "title": "Port",
        "minLength": 1,
        "maxLength": MAX_CASE_NAME,
        "pattern": r"\S",
        "not": {"enum": sorted(RESERVED_CASES)},
    }
    condition = {"type": "string", "title": "Condition", "minLength": 1, "maxLength": MAX_SOURCE["expression"]}
    case = {"type": "object", "properties": {"name": name, "condition": condition}, "required": ["name", "condition"]}
    return {"type": "array", "items": case, "minItems": 1, "maxItems": MAX_CASES}


def _is_chosen(name: str, choice: Json) -> Mapping[str, Json]:
    return {"properties": {name: {"const": choice}}, "required": [name]}
