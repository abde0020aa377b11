"""What a node's result must look like before it is kept: JSON that the database can store, of a bounded size."""

from typing import Any

import orjson

from models.errors import ForgeError

Json = Any

MAX_OUTPUT = 1024 * 1024  # bytes of JSON, one node
MAX_RUN = 64 * 1024 * 1024  # bytes of JSON, all nodes of one run


class OutputRefused(ForgeError):
    """A node's result cannot be kept."""

    code = "output_refused"


def encode(output: Json) -> tuple[Json, bytes]:
    """The output as it is kept, and its JSON; raises `OutputRefused` when it is too large or no JSON."""
    try:
        encoded = orjson.dumps(output)
    except (TypeError, ValueError) as error:
        raise OutputRefused("The result is not valid JSON (a number past 64 bits, or broken text).") from error
    if len(encoded) > MAX_OUTPUT:
        raise OutputRefused(f"The result has {len(encoded):,} bytes of JSON; {MAX_OUTPUT:,} are allowed.")
    if b"\\u0000" in encoded:  # PostgreSQL stores no NUL
        output = storable(output)
        encoded = orjson.dumps(output)
    return output, encoded


def storable(value: Json) -> Json:
    """A text or JSON of ours as the database can keep it: without NUL and without broken characters."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value
