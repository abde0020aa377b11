"""Metadata: what a request gives is merged in; an empty value takes a key away, an empty whole all of them."""

from devstack.stripe_simulator.errors import invalid
from devstack.stripe_simulator.parameters import Params


def merge_metadata(present: dict[str, str], params: Params) -> dict[str, str]:
    """The metadata after the request `params`."""
    given = params.get("metadata")
    if given is None:
        return present
    if given == "":
        return {}
    merged = {key: value for key, value in {**present, **given}.items() if value != ""}
    if len(merged) > 50:
        raise invalid("Metadata can have up to 50 keys.", param="metadata")
    for key, value in merged.items():
        if len(key) > 40 or len(value) > 500:
            raise invalid("Metadata keys can have up to 40 characters, values up to 500.", param=f"metadata[{key}]")
    return merged
