"""`input`: passes on the run's input as text, JSON, a number, a file or the rows of a CSV text."""

import csv
import io
from collections.abc import Mapping

from models.errors import ExpressionFailed
from models.rules.graph.effects import Done
from models.rules.graph.fields import is_number, kind_of
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind
from models.rules.values.json_values import EXACT, read_json, value_text
from models.serialization import Json

MAX_ROWS = 100_000


def begin(call: NodeCall) -> Done:
    """The converted input, or the default without one; raises `ExpressionFailed` if it cannot be converted."""
    given = _part(call)
    if given is None or given == "":
        given = call.config.get("default")
    if given is None:
        if call.config.get("required"):
            raise ExpressionFailed(f"The run was started without input, and `{call.node.label}` needs one.")
        return Done(None)
    input_type = call.config.get("inputType")
    return Done(_CONVERTERS[input_type](given) if input_type else given)


def _part(call: NodeCall) -> Json:
    """The whole input, or the value of an object's `key`, so that several input nodes can share an object."""
    given, key = call.scope.variables.get("input"), call.config.get("key")
    return given.get(key) if key is not None and isinstance(given, Mapping) else given


def _as_text(value: Json) -> str:
    return value_text(value)


def _as_json(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return read_json(value)
    except ValueError:
        raise ExpressionFailed("The input is not valid JSON.") from None


def _as_number(value: Json) -> Json:
    number = value
    if isinstance(value, str):
        try:
            number = int(value[:400]) if value.strip().lstrip("+-").isdecimal() else float(value)
        except ValueError:
            number = None
    if not is_number(number) or number != number or abs(number) > 1e300:
        shown = f"`{value[:60]}`" if isinstance(value, str) else kind_of(value)
        raise ExpressionFailed(f"The input must be a number, not {shown}.")
    if isinstance(number, int) and abs(number) > EXACT:
        raise ExpressionFailed("The input has more digits than a number keeps exactly; take it as text.")
    return number


def _as_file(value: Json) -> Json:
    if not isinstance(value, str | Mapping):
        raise ExpressionFailed(f"The input must be a file (its text, or an object about it), not {kind_of(value)}.")
    return value


def _as_rows(value: Json) -> Json:
    """Parse CSV text with a header line to a list of objects; a list is returned unchanged."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        raise ExpressionFailed(f"The input must be CSV text, not {kind_of(value)}.")
    try:
        reader = csv.DictReader(io.StringIO(value.removeprefix("\ufeff")), strict=True)
        rows: list[Json] = []
        for row in reader:
            if len(rows) == MAX_ROWS:
                raise ExpressionFailed(f"The CSV text has more than {MAX_ROWS:,} rows.")
            if None in row:
                raise ExpressionFailed(f"Line {reader.line_num} of the CSV text has more columns than its header.")
            rows.append({name: cell or "" for name, cell in row.items()})
    except csv.Error as error:
        raise ExpressionFailed(f"The input is not valid CSV: {error}.") from None
    return rows


_CONVERTERS = {"text": _as_text, "json": _as_json, "number": _as_number, "file": _as_file, "csv": _as_rows}


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    if config.get("required") is True and config.get("default") not in (None, ""):
        return (("warning", "required", "An input with a default is never missing, so `required` has no effect."),)
    return ()


KIND = NodeKind(
    type="input",
    title="Input",
    help="Hands on the input of the run.",
    result="The input, converted to its type.",
    fields=(
        Field(
            "inputType",
            "choice",
            choices=tuple(_CONVERTERS),
            title="Type",
            help="What the input is converted to. Without one it stays as it is.",
        ),
        Field(
            "required",
            "flag",
            title="Required",
            help="Without this input the run fails at once.",
            default=False,
        ),
        Field("default", "value", title="Default", help="Replaces an input that is missing, null or an empty text."),
        Field(
            "key",
            "text",
            title="Key",
            help="Takes the value of this key if the input is an object, so that several inputs share one.",
            examples=("customer",),
        ),
    ),
    begin=begin,
    findings=_findings,
)
