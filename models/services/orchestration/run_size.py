"""The stored bytes of a run: the JSON of its rows, and a fixed amount for each row.

They are counted as the rows are written, before the database compresses them, so that the total is known without
reading the rows and a new driver continues from the number in the run's row.
"""

import orjson

from models.rules.values.run_limits import RUN_LIMITS
from models.serialization import Json
from models.services.orchestration.journal import EventRow, NodeRow

MAX_RUN_BYTES = RUN_LIMITS.bytes
RUN_BYTES = 1_000  # the run's own row with its hold, its receipt, and the events that services write
ROW_BYTES = 200  # the columns of fixed size and the index entries of a node or event


def json_bytes(value: Json) -> int:
    """The bytes of a value's JSON; 0 for None."""
    return 0 if value is None else len(orjson.dumps(value))


def run_bytes(input: Json) -> int:
    """The bytes that a run stores at its submission."""
    return RUN_BYTES + json_bytes(input)


def node_bytes(row: NodeRow) -> int:
    """The bytes of a step's row with its output, its error and its external reference."""
    return ROW_BYTES + len(row.output or b"") + json_bytes(row.error) + json_bytes(row.external_ref)


def event_bytes(row: EventRow) -> int:
    """The bytes of an event."""
    return ROW_BYTES + len(row.message.encode()) + json_bytes(row.data)
