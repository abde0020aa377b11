"""All functions of the expression language by name."""

import difflib
from collections.abc import Mapping

from models.rules.cel import conversions, lists, numbers, texts
from models.rules.cel.signatures import Signature

FUNCTIONS: Mapping[str, Signature] = {
    signature.name: signature for module in (texts, lists, numbers, conversions) for signature in module.SIGNATURES
}


def complaint(name: str, count: int) -> str | None:
    """What is wrong with calling `name` with `count` arguments, as a sentence."""
    signature = FUNCTIONS.get(name)
    if signature is None:
        near = difflib.get_close_matches(name, FUNCTIONS, 1)
        return f"There is no function `{name}`" + (f"; did you mean `{near[0]}`?" if near else ".")
    if not signature.accepts(count):
        least, most = signature.least, len(signature.takes)
        wanted = f"{least}" if least == most else f"{least} to {most}"
        return f"`{name}` takes {wanted} arguments (a value it is called on counts as one), not {count}."
    return None
