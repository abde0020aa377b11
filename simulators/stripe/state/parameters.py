"""Parameters of requests: nested forms, checked against the parameter types of the installed library."""

import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import stripe.params
import typing_extensions
from stripe import RequestOptions

from simulators.stripe.state.errors import StripeError, bad_parameter, invalid

Params = dict[str, Any]


def decode(form: str) -> Params:
    """Parse `items[0][price]=p` into `{"items": [{"price": "p"}]}`; every leaf is a string."""
    tree: Params = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        path = [part for part in re.split(r"[\[\]]+", name) if part] if "[" in name else [name]
        if name.endswith("[]"):
            path.append("")
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise bad_parameter(f"Invalid object: {name}", path[0], "parameter_invalid_empty")
        last = path[-1] or str(len(node))
        node[last] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def check(params: Params, type_name: str, supported: frozenset[str]) -> Params:
    """Convert strings to numbers and booleans by the library's type; raises Stripe's 400 for unknown parameters.

    Parameters that Stripe supports and this simulator does not are refused too, rather than ignored.
    """
    wanted = getattr(stripe.params, type_name)
    checked: Params = _typed(params, wanted, "")
    for name in checked:
        if name not in supported and name != "expand":
            message = f"The Stripe simulator does not support the parameter {name} here."
            raise bad_parameter(message, name, "simulator_unsupported")
    return checked


@cache
def fields_of(typed_dict: Any) -> Mapping[str, Any]:
    """The fields of a parameter type, without those that configure the library itself."""
    hints = get_type_hints(typed_dict, localns={"StripeContext": object, "Mapping": Mapping}, include_extras=True)
    own = set(typed_dict.__annotations__) - set(RequestOptions.__annotations__)
    return {name: hint for name, hint in hints.items() if name in own}


def _typed(value: Any, typed_dict: Any, prefix: str) -> Params:
    if not isinstance(value, dict):
        raise bad_parameter(f"Invalid object: {prefix}", prefix, "parameter_invalid_empty")
    fields = fields_of(typed_dict)
    checked: Params = {}
    for name, inner in value.items():
        full = f"{prefix}[{name}]" if prefix else name
        if name not in fields:
            raise bad_parameter(f"Received unknown parameter: {full}", full, "parameter_unknown")
        checked[name] = _value(inner, _bare(fields[name]), full)
    for name, hint in fields.items():
        if get_origin(hint) not in (NotRequired, typing_extensions.NotRequired) and name not in value:
            full = f"{prefix}[{name}]" if prefix else name
            raise bad_parameter(f"Missing required param: {full}.", full, "parameter_missing")
    return checked


def _bare(hint: Any) -> Any:
    wrappers = (NotRequired, Required, typing_extensions.NotRequired, typing_extensions.Required)
    return get_args(hint)[0] if get_origin(hint) in wrappers else hint


def _value(value: Any, hint: Any, name: str) -> Any:
    """Convert `value` to the first alternative of `hint` that fits."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    choices = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
    if isinstance(value, str):
        return _scalar(value, options, choices, name)
    for option in options:
        if isinstance(value, list) and get_origin(option) is list:
            inner = get_args(option)[0]
            return [_value(item, inner, f"{name}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, dict) and typing_extensions.is_typeddict(option):
            return _typed(value, option, name)
        if isinstance(value, dict) and get_origin(option) is dict:
            return {key: str(inner) for key, inner in value.items()}
    raise bad_parameter(f"Invalid value for {name}", name, "parameter_invalid_empty")


def _scalar(value: str, options: tuple[Any, ...], choices: list[Any], name: str) -> Any:
    if value in choices:
        return value
    if bool in options and value in ("true", "false"):
        return value == "true"
    if int in options and re.fullmatch(r"-?\d+", value):
        return int(value)
    if choices and any(choices):
        allowed = ", ".join(str(word) for word in choices[:12] if word)
        raise StripeError(400, f"Invalid {name}: must be one of {allowed}", param=name, stored=False)
    if str in options:
        return value
    if int in options:
        raise bad_parameter(f"Invalid integer: {value}", name, "parameter_invalid_integer")
    if bool in options:
        raise StripeError(400, f"Invalid boolean: {value}", param=name, stored=False)
    if any(get_origin(option) is list for option in options):
        raise StripeError(400, f"Invalid array: {name}", param=name, stored=False)
    raise StripeError(400, f"Invalid object: {name}", param=name, stored=False)


def merge_metadata(present: dict[str, str], params: Params) -> dict[str, str]:
    """The metadata after a request, which adds keys; an empty value removes its key, and empty metadata all keys."""
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
