"""Lists, newest first, page by page, and the expansion of ids into objects."""

import operator
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError, bad_parameter, invalid
from simulators.stripe.state.parameters import Params

_COMPARE = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}

# Fields that are returned only if a request expands them, by kind of object and name.
INCLUDABLE: dict[tuple[str, str], Callable[[AccountState, StripeObject], Any]] = {}


def page(params: Params, url: str, oldest_first: Iterable[StripeObject]) -> StripeObject:
    """The page of these objects that `params` requests."""
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise bad_parameter(f"Invalid limit: {limit} (must be between 1 and 100)", "limit", "parameter_invalid_integer")
    found = [item for item in oldest_first if _in_time(item["created"], params.get("created"))]
    found.reverse()
    if after := params.get("starting_after"):
        rest = found[_place(found, after, "starting_after") + 1 :]
        return listed(rest[:limit], url, has_more=len(rest) > limit)
    if before := params.get("ending_before"):
        rest = found[: _place(found, before, "ending_before")]
        return listed(rest[-limit:], url, has_more=len(rest) > limit)
    return listed(found[:limit], url, has_more=len(found) > limit)


def listed(items: list[StripeObject], url: str, *, has_more: bool = False) -> StripeObject:
    """A list object."""
    return {"object": "list", "data": items, "has_more": has_more, "url": url}


def _place(found: list[StripeObject], object_id: str, param: str) -> int:
    for index, item in enumerate(found):
        if item["id"] == object_id:
            return index
    raise invalid(f"No such object: '{object_id}'", param=param, code="resource_missing")


def _in_time(created: int, wanted: int | dict[str, int] | None) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return created == wanted
    return all(_COMPARE[name](created, limit) for name, limit in wanted.items())


def expanded(world: AccountState, answer: StripeObject, paths: list[str]) -> StripeObject:
    """A copy of the object in which the ids at `paths` are replaced by their objects."""
    answer = deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        if len(parts) > (5 if parts[0] == "data" else 4):
            raise invalid(f"You cannot expand more than 4 levels of a property. Property: {path}.", param="expand")
        _expand(world, answer, parts, path)
    return answer


def _expand(world: AccountState, node: Any, parts: list[str], path: str) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(world, item, parts, path)
        return
    if not isinstance(node, dict) or not parts:
        return
    name, rest = parts[0], parts[1:]
    include = INCLUDABLE.get((node.get("object", ""), name))
    if include is not None and not isinstance(node.get(name), dict):
        node[name] = deepcopy(include(world, node))
    elif name not in node:
        message = f"This property cannot be expanded ({path}). You may want to try expanding another property."
        raise StripeError(400, message, param="expand")
    elif isinstance(node[name], str):
        found = world.find(node[name])
        if found is None and not name.endswith(("transaction", "clock")):
            raise StripeError(400, f"This property cannot be expanded ({path}).", param="expand")
        node[name] = deepcopy(found) if found else node[name]
    _expand(world, node[name], rest, path)
