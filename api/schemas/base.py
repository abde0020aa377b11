"""Base classes of schemas and fields: camelCase names, no unknown fields in bodies, credits and times in JSON."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from api.schemas.wording import NO_OBJECT, UNKNOWN, reword
from models.rules.values.moments import EXAMPLE, InvalidMoment, parse_moment

BIGINT_MAX = 2**63 - 1
MAX_IDS = 100  # in a query
NOT_NEGATIVE = validate.Range(min=0, max=BIGINT_MAX)
CREDITS_MAX = 999_999_999_999.99  # numeric(14, 2)


OPTIONAL = MappingProxyType({"sometimes": True})  # metadata of a field that not every response has


class CamelSchema(Schema):
    """A schema whose fields are camelCase in JSON and snake_case in Python."""

    error_messages = {"unknown": UNKNOWN, "type": NO_OBJECT}  # noqa: RUF012 (marshmallow's own way)

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Set the camelCase name of the field and our error messages."""
        reword(field_obj)
        first, *rest = (field_obj.data_key or field_name).split("_")
        field_obj.data_key = first + "".join(word.title() for word in rest)


class In(CamelSchema):
    """A body; unknown fields are rejected."""

    class Meta:
        unknown = RAISE


class AppIn(In):
    """A body that the mobile app sends. Unknown fields are ignored, because the app sends its own objects whole."""

    class Meta:
        unknown = EXCLUDE


class Query(CamelSchema):
    """A query string; unknown arguments are ignored."""

    class Meta:
        unknown = EXCLUDE


class Out(CamelSchema):
    """A response. It has all of its fields, except that those marked `OPTIONAL` may be missing."""

    class Meta:
        unknown = EXCLUDE  # as clients should read it: responses may gain fields

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Set name and messages of the field, and mark it as required unless it is `OPTIONAL`."""
        super().on_bind_field(field_name, field_obj)
        field_obj.required = "sometimes" not in field_obj.metadata

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Dump as marshmallow does, but faster if all fields are raw, as in the many nodes of a run's document."""
        if self._plain is None:
            return super().dump(obj, many=many)
        return [self._write(one) for one in obj] if many else self._write(obj)

    def _write(self, obj: Any) -> Any:
        if obj is None or isinstance(obj, Mapping) or self._plain is None:
            return super().dump(obj, many=False)
        return {key: read(obj) for key, read in self._plain}

    @cached_property
    def _plain(self) -> Sequence[tuple[str, Callable[[Any], Any]]] | None:
        """How to read each field of an object; None if a field is optional or does more than read a value."""
        readers = {field.data_key or name: _reader(name, field) for name, field in self.dump_fields.items()}
        found = [(key, read) for key, read in readers.items() if read]
        return found if len(found) == len(readers) else None


def _reader(name: str, field: fields.Field[Any]) -> Callable[[Any], Any] | None:
    if "sometimes" in field.metadata or "." in (field.attribute or ""):
        return None
    if isinstance(field, fields.Function):
        return field.serialize_func
    read = attrgetter(field.attribute or name)
    if isinstance(field, Raw | Credits):
        return read
    if isinstance(field, fields.Nested) and not field.many and isinstance(field.schema, Out):
        schema = field.schema
        return lambda obj: None if (inner := read(obj)) is None else schema.dump(inner)
    return None


class TrimmedString(fields.String):
    """A text of `min_length` to `max_length` characters, without surrounding space, which marshmallow's field keeps."""

    def __init__(self, max_length: int, *, min_length: int = 1, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=min_length, max=max_length), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).strip()


class Items(fields.List[Any]):
    """A list of at most `max_items` items; marshmallow's field counts them only after deserializing all of them."""

    def __init__(self, inner: fields.Field[Any], *, max_items: int, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._max_items = max_items

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list) and len(value) > self._max_items:
            raise ValidationError(f"Must have at most {self._max_items:,} items; this has {len(value):,}.")
        return super()._deserialize(value, attr, data, **kwargs)


class Credits(fields.Decimal):
    """Credits: exact, with at most two decimals, within the range of the column.

    Marshmallow's own takes any number of decimals, and numbers in text.
    """

    shape = MappingProxyType({"type": "number"})

    def __init__(self, **kwargs: Any) -> None:
        bounds = validate.Range(min=0, max=CREDITS_MAX)
        messages: dict[str, str | list[Any] | dict[Any, Any]] = {
            "decimals": "Must have at most two decimals.",
            "text": "Must be a number.",
        }
        super().__init__(allow_nan=False, validate=bounds, error_messages=messages, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            raise self.make_error("text")
        number = super()._deserialize(value, attr, data, **kwargs)
        if cast("int", number.as_tuple().exponent) < -2:  # a number, because it is finite
            raise self.make_error("decimals")
        return number

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value  # orjson writes it


class Moment(fields.AwareDateTime):
    """A time with its offset from UTC, written as in configs and commands.

    Marshmallow's own also takes weeks, offsets with seconds, and times that lie after the year 9999 in UTC, which could
    be stored and never be read again.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return parse_moment(value if isinstance(value, str) else "", assume_utc=False)
        except InvalidMoment:
            raise ValidationError(f"Must be a time such as {EXAMPLE}.") from None


class StrictBoolean(fields.Boolean):
    """True or false; marshmallow's field also accepts 1 and 0, whatever its `truthy`, as they equal True and False."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Raw(fields.Raw):
    """A value that the JSON encoder writes unchanged; `shape` is its JSON Schema, here for any JSON.

    Say `allow_none=True` where it may be null, and `metadata=Number.shape` for a `fields.Function`.
    """

    shape: Mapping[str, Any] = MappingProxyType({})


class Id(Raw):
    """A UUID."""

    shape = MappingProxyType({"type": "string", "format": "uuid"})


class Time(Raw):
    """A time in UTC."""

    shape = MappingProxyType({"type": "string", "format": "date-time"})


class String(Raw):
    """A text."""

    shape = MappingProxyType({"type": "string"})


class Integer(Raw):
    """A whole number."""

    shape = MappingProxyType({"type": "integer"})


class Number(Raw):
    """A number."""

    shape = MappingProxyType({"type": "number"})


class Boolean(Raw):
    """True or false."""

    shape = MappingProxyType({"type": "boolean"})


class JsonObject(Raw):
    """An object whose members are not described."""

    shape = MappingProxyType({"type": "object", "additionalProperties": True})


class JsonArray(Raw):
    """A list of such objects."""

    shape = MappingProxyType({"type": "array", "items": dict(JsonObject.shape)})


class EnumText(Raw):
    """A text out of a fixed list."""

    def __init__(self, values: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = MappingProxyType({"type": "string", "enum": [str(value) for value in values]})


class Ids(fields.Field[list[UUID]]):
    """A list of at most 100 ids, separated by commas."""

    shape = String.shape

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[UUID]:
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        if len(parts) > MAX_IDS:
            raise ValidationError(f"Must name at most {MAX_IDS} ids.")
        try:
            return [UUID(part) for part in parts]
        except ValueError:
            raise ValidationError("Must be ids, separated by commas.") from None


class QueryInteger(fields.Integer):
    """A whole number in a query string, in digits; marshmallow's field accepts whatever `int` does, such as `1_000`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]+", value):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class Limit(QueryInteger):
    """The size of a page; a number above `maximum` becomes `maximum`, which the response's `limit` shows."""

    def __init__(self, *, maximum: int = 100, usual: int = 50) -> None:
        description = {"description": f"The number of items; values above {maximum:,} count as {maximum:,}."}
        super().__init__(validate=validate.Range(min=1), metadata=description, load_default=usual)
        self._maximum = maximum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return min(super()._deserialize(value, attr, data, **kwargs), self._maximum)


class PageQuery(Query):
    """The page of a list."""

    limit = Limit()
    offset = QueryInteger(validate=NOT_NEGATIVE, load_default=0)
    cursor = fields.String(load_default=None, validate=validate.Length(max=200))
