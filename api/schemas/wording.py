"""Error messages of fields and validators: the end of a sentence whose beginning is the field's name.

Each message starts with a word of `STARTS`; the problem document puts the field before it. Marshmallow's own messages
are replaced when a field is bound to its schema, so that schemas are written with marshmallow's fields and checks.
"""

from collections.abc import Mapping, Sized
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError, fields, validate

STARTS = ("Must ", "Is ")
UNKNOWN = "Is not a field of this request."
NO_OBJECT = "Must be a JSON object."
_NUMBER, _INTEGER = "Must be a number.", "Must be a whole number."
_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "Missing data for required field.": "Is missing.",
        "Field may not be null.": "Must not be null.",
        "Invalid value.": "Must be a valid value.",
        "Invalid type.": NO_OBJECT,
        "Invalid input type.": NO_OBJECT,
        "Not a valid string.": "Must be text.",
        "Not a valid utf-8 string.": "Must be text in UTF-8.",
        "Not a valid UUID.": "Must be an id, which is a UUID.",
        "Not a valid number.": _NUMBER,
        "Number too large.": "Must be a smaller number.",
        "Special numeric values (nan or infinity) are not permitted.": _NUMBER,
        "Not a valid integer.": _INTEGER,
        "Not a valid boolean.": "Must be true or false.",
        "Not a valid list.": "Must be a list.",
        "Not a valid mapping type.": "Must be an object.",
        "Not a valid email address.": "Must be an email address such as name@example.com.",
        "Not a valid {obj_type}.": "Must be a date and time such as 2026-11-29T10:00:00Z.",
        "Not a valid {awareness} {obj_type}.": "Must be a time with its time zone, such as 2026-11-29T10:00:00Z.",
        '"{input}" cannot be formatted as a {obj_type}.': "Must be a date and time such as 2026-11-29T10:00:00Z.",
        "String does not match expected pattern.": "Must match the expected pattern.",
    }
)


class _Length(validate.Length):
    """A length check whose message names the violated bound, in characters or items."""

    def __init__(self, check: validate.Length, unit: str) -> None:
        super().__init__(check.min, check.max)
        self._unit = unit

    def __call__(self, value: Any) -> Any:
        """Return the value; raises `ValidationError` that names the violated bound."""
        length = len(value) if isinstance(value, Sized) else 0
        if self.min is not None and length < self.min:
            raise ValidationError(f"Must have at least {self._count(self.min)}." if value else "Must not be empty.")
        if self.max is not None and length > self.max:
            raise ValidationError(f"Must have at most {self._count(self.max)}; this has {length:,}.")
        return value

    def _count(self, number: int) -> str:
        return f"{number:,} {self._unit}{'' if number == 1 else 's'}"


class _Range(validate.Range):
    """A range check whose message names the violated bound."""

    def __init__(self, check: validate.Range) -> None:
        super().__init__(check.min, check.max, min_inclusive=check.min_inclusive, max_inclusive=check.max_inclusive)
        lowest, highest = ("at least" if self.min_inclusive else "more than"), "at most"
        self._low, self._high = f"Must be {lowest} {self.min}.", f"Must be {highest} {self.max}."

    def __call__(self, value: Any) -> Any:
        """Return the value; raises `ValidationError` that names the violated bound."""
        if self.min is not None and (value < self.min if self.min_inclusive else value <= self.min):
            raise ValidationError(self._low)
        if self.max is not None and value > self.max:
            raise ValidationError(self._high)
        return value


def reword(field: fields.Field[Any]) -> None:
    """Replace the error messages of a field, of its validators and of its inner field by ours."""
    field.error_messages = {key: _reworded(text) for key, text in field.error_messages.items()}
    field.validators = [_with_message(check, field) for check in field.validators]
    if isinstance(field, fields.List):
        reword(field.inner)


def _reworded(message: Any) -> Any:
    return _MESSAGES.get(message, message) if isinstance(message, str) else message


def _with_message(check: Any, field: fields.Field[Any]) -> Any:
    match check:
        case _Length() | _Range():
            return check
        case validate.Length(error=None, equal=None):
            return _Length(check, "item" if isinstance(field, fields.List) else "character")
        case validate.Range(error=None, max_inclusive=True):
            return _Range(check)
        case validate.Email() | validate.Regexp() | validate.OneOf():
            check.error = _reworded(check.error)
    return check
