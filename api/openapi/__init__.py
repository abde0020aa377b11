"""What each route takes, answers and refuses, said in one decorator beside its view.

    @bp.post("/<uuid:workflow_id>/execute")
    @signed_in
    @idempotent
    @describes(takes=ExecuteIn, optional=True, answers=AcceptedOut, status=202, refuses=("insufficient_credits",))
    def execute(workflow_id: UUID) -> ResponseReturnValue:
        \"\"\"Accept an execution; 202, because the work happens elsewhere.\"\"\"

It stands directly above the view. Only what cannot be read off elsewhere is said: the docstring is the summary;
`signed_in`, `idempotent`, `takes`, `asks` and the address bring their own parameters and refusals, and every route may
be asked too often or break. `api.openapi.document` puts all of it together.

`answers` is a schema, a field, a list of one of them, a tuple of alternatives, a `Page`, or a dict that names several;
None is no content.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import Schema, fields

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Page:
    """The answer of a list: its items under their name, and where the next ones are."""

    name: str
    item: type[Schema]
    has_cursor: bool = True


Shape = type[Schema] | fields.Field[Any] | Page | Mapping[str, Any] | list[Any] | tuple[Any, ...] | None

TIER_LIMITS = ("workflow_limit_reached", "workflow_read_only", "node_limit_reached", "storage_limit_reached")
LOCATED = ("Location", "Retry-After")


@dataclass(frozen=True)
class Description:
    """What was said of one view."""

    answers: Shape
    status: int
    takes: type[Schema] | None
    optional: bool
    asks: type[Schema] | None
    refuses: tuple[str, ...]
    headers: tuple[str, ...]
    media: str | tuple[str, ...]
    also: Mapping[int, Shape] = field(default_factory=dict)
    waits: type[Schema] | None = None


def describes(
    *,
    answers: Shape = None,
    status: int | None = None,
    takes: type[Schema] | None = None,
    optional: bool = False,
    asks: type[Schema] | None = None,
    refuses: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    media: str | tuple[str, ...] = "application/json",
    also: Mapping[int, Shape] | None = None,
    waits: type[Schema] | None = None,
) -> Callable[[View], View]:
    """Say what a view takes in its body (`optional`: or none) and `asks` in its address, what it answers and refuses.

    `refuses` are the codes of its own errors, `also` its other good answers, `headers` what it sends besides the usual
    (names in `api.openapi.headers`). A view that needs Stripe may be answered by Stripe's refusals, and with 202 and
    what it `waits` with.
    """
    usual = 204 if answers is None else 200
    said = Description(
        answers, status or usual, takes, optional, asks, refuses, headers, media, dict(also or {}), waits
    )

    def mark(view: View) -> View:
        view.described = said  # type: ignore[attr-defined]  # a mark that `wraps` hands on
        return view

    return mark
