"""What all schemas share: camelCase, unknown fields refused in bodies, credits and times as JSON has them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

BIGINT_MAX = 2**63 - 1
CREDITS_MAX = 999_999_999_999.99  # numeric(14, 2)


SOMETIMES = MappingProxyType({"sometimes": True})  # metadata of a field that not every answer has


class Wire(Schema):
    """Python speaks snake_case, the wire camelCase."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Name the field for the wire."""
        first, *rest = (field_obj.data_key or field_name).split("_")
        field_obj.data_key = first + "".join(word.title() for word in rest)


class In(Wire):
    """A body: every field it has is known."""

    class Meta:
        unknown = RAISE


class Query(Wire):
    """Arguments of an address: those we do not know are ignored."""

    class Meta:
        unknown = EXCLUDE


class Out(Wire):
    """An answer: it shows its fields, all of them but those marked `SOMETIMES`, and nothing else."""

    class Meta:
        unknown = EXCLUDE  # as clients should read it: there may be more one day

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Name the field for the wire; every answer has it, unless it is marked."""
        super().on_bind_field(field_name, field_obj)
        field_obj.required = "sometimes" not in field_obj.metadata

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """As marshmallow does it, but faster where all fields are plain: most of a poll's answer is nodes."""
        if self._plain is None:
            return super().dump(obj, many=many)
        return [self._write(one) for one in obj] if many else self._write(obj)

    def _write(self, obj: Any) -> Any:
        if obj is None or isinstance(obj, Mapping) or self._plain is None:
            return super().dump(obj, many=False)
        return {key: read(obj) for key, read in self._plain}

    @cached_property
    def _plain(self) -> Sequence[tuple[str, Callable[[Any], Any]]] | None:
        """How to read each field of an object; None where a field is not always there or does more than to read."""
        readers = {field.data_key or name: _reader(name, field) for name, field in self.dump_fields.items()}
        found = [(key, read) for key, read in readers.items() if read]
        return found if len(found) == len(readers) else None


def _reader(name: str, field: fields.Field[Any]) -> Callable[[Any], Any] | None:
    if "sometimes" in field.metadata or "." in (field.attribute or ""):
        return None
    if isinstance(field, fields.Function):
        return field.serialize_func
    read = attrgetter(field.attribute or name)
    if isinstance(field, Plain | Credits):
        return read
    if isinstance(field, fields.Nested) and not field.many and isinstance(field.schema, Out):
        schema = field.schema
        return lambda obj: None if (inner := read(obj)) is None else schema.dump(inner)
    return None


class Line(fields.String):
    """A text without space around it, of 1 to `longest` characters."""

    def __init__(self, longest: int, *, shortest: int = 1, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=shortest, max=longest), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).strip()


class Credits(fields.Decimal):
    """Credits: exact, at most two decimals, within what can be stored."""

    shape = MappingProxyType({"type": "number"})

    def __init__(self, **kwargs: Any) -> None:
        bounds = validate.Range(min=0, max=CREDITS_MAX)
        told = {"decimals": "Must have at most two decimals.", "text": "Must be a number."}
        super().__init__(allow_nan=False, validate=bounds, error_messages=told, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            raise self.make_error("text")
        number = super()._deserialize(value, attr, data, **kwargs)
        if number.as_tuple().exponent < -2:
            raise self.make_error("decimals")
        return number

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value  # orjson writes it


class Flag(fields.Field[bool]):
    """True or false, and nothing that merely looks like it."""

    shape = MappingProxyType({"type": "boolean"})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class Plain(fields.Raw):
    """A value that the JSON encoder writes as it is; `shape` says what it is (JSON Schema), here any JSON.

    Say `allow_none=True` where it may be null, and `metadata=Number.shape` for a `fields.Function`.
    """

    shape: Mapping[str, Any] = MappingProxyType({})


class Id(Plain):
    """An id of ours."""

    shape = MappingProxyType({"type": "string", "format": "uuid"})


class Time(Plain):
    """A time in UTC."""

    shape = MappingProxyType({"type": "string", "format": "date-time"})


class Text(Plain):
    """A text."""

    shape = MappingProxyType({"type": "string"})


class Count(Plain):
    """A whole number."""

    shape = MappingProxyType({"type": "integer"})


class Number(Plain):
    """A number."""

    shape = MappingProxyType({"type": "number"})


class Truth(Plain):
    """True or false."""

    shape = MappingProxyType({"type": "boolean"})


class Thing(Plain):
    """An object whose members are not ours to list."""

    shape = MappingProxyType({"type": "object", "additionalProperties": True})


class Things(Plain):
    """A list of such objects."""

    shape = MappingProxyType({"type": "array", "items": dict(Thing.shape)})


class Word(Plain):
    """One word of a list."""

    def __init__(self, words: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = MappingProxyType({"type": "string", "enum": [str(word) for word in words]})


class Whole(fields.Field[int]):
    """A whole number in an address, in plain digits."""

    shape = MappingProxyType({"type": "integer"})

    def __init__(self, *, low: int, high: int, **kwargs: Any) -> None:
        told = {"whole": "Must be a whole number."}
        super().__init__(validate=validate.Range(min=low, max=high), error_messages=told, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", value):
            raise self.make_error("whole")
        return int(value)


class PageQuery(Query):
    """Which part of a list."""

    limit = Whole(low=1, high=100, load_default=50)
    offset = Whole(low=0, high=BIGINT_MAX, load_default=0)
    cursor = fields.String(load_default=None, validate=validate.Length(max=200))
