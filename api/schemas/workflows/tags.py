"""Tags of runs: words by which their owner finds them."""

from typing import Any

from marshmallow import ValidationError, fields, validate

MAX_TAGS, MAX_TAG_LENGTH = 10, 40


class Tag(fields.String):
    """A tag of a run: up to 40 printable characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Length(min=1, max=MAX_TAG_LENGTH), _is_word], **kwargs)


def _is_word(text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise ValidationError("Must be printable, and not only spaces.")
