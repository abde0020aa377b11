"""Checks of a node's result before it is stored: JSON that the database can hold, of a bounded size."""

import orjson

from models.errors import ForgeError
from models.rules.values.json_values import clean
from models.serialization import Json
from models.services.orchestration.run_size import MAX_RUN_BYTES

MAX_OUTPUT = 1024 * 1024  # bytes of JSON, one node


class OutputRefused(ForgeError):
    """A node's result cannot be stored."""

    code = "output_refused"


class RunTooLarge(ForgeError):
    """The run reached the limit of stored bytes; it ends at that node, regardless of its `onError`."""

    code = "run_too_large"

    def __init__(self) -> None:
        mib = MAX_RUN_BYTES // 1024**2
        super().__init__(
            f"One run keeps at most {mib} MiB of results, errors and history, and this one would keep more."
        )

    def as_json(self) -> dict[str, Json]:
        """The run's error when no single node is the cause."""
        return {"code": self.code, "message": self.detail}


def encode(output: Json) -> tuple[Json, bytes]:
    """The output as it is stored, and its JSON bytes; raises `OutputRefused` when it is too large or not JSON."""
    try:
        encoded = orjson.dumps(output)
    except TypeError:  # a lone surrogate, or a number past 64 bits
        output, encoded = _cleaned(output)
    if b"\\u0000" in encoded:
        output, encoded = _cleaned(output)
    if len(encoded) > MAX_OUTPUT:
        raise OutputRefused(f"The result has {len(encoded):,} bytes of JSON; {MAX_OUTPUT:,} are allowed.")
    return output, encoded


def _cleaned(output: Json) -> tuple[Json, bytes]:
    try:
        output = clean(output)
        return output, orjson.dumps(output)
    except (TypeError, RecursionError) as error:
        raise OutputRefused("The result is not valid JSON, or nested too deeply.") from error
