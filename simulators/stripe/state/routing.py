"""Routing of calls to views. A view takes the account, the checked parameters and the ids in the path."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulators.stripe.state.account_state import AccountState, StripeObject

View = Callable[..., StripeObject]


@dataclass(frozen=True)
class Route:
    """One endpoint; `takes` names the library's parameter type."""

    method: str
    pattern: re.Pattern[str]
    takes: str
    supported: frozenset[str]
    view: View
    publishable: bool


ROUTES: list[Route] = []
_PAGING = "limit starting_after ending_before created"


def endpoint(method: str, path: str, takes: str, supported: str = "", *, publishable: bool = False) -> Any:
    """Register a view; `supported` lists the parameters that the simulator implements."""
    pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path) + r"/?")
    words = frozenset((supported + (f" {_PAGING}" if takes.endswith("ListParams") else "")).split())

    def register(view: View) -> View:
        ROUTES.append(Route(method, pattern, takes, words, view, publishable))
        return view

    return register


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The endpoint for a call, and the ids in its path."""
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match.groupdict()
    return None


__all__ = ["ROUTES", "AccountState", "Route", "StripeObject", "endpoint", "find"]
