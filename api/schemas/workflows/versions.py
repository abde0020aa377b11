"""The field that names a version of a workflow."""

from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError, fields

INTEGER_MAX = 2**31 - 1  # of a column


class RequestedVersionField(fields.Field[int | str]):
    """A version's number, or `latest`."""

    shape = MappingProxyType({"type": ["integer", "string"]})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | str:
        is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= INTEGER_MAX
        if value != "latest" and not is_number:
            raise ValidationError("Must be the number of a version, or `latest`.")
        return value
