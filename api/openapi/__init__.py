"""The decorator that describes a route for OpenAPI (body, response, errors) beside its view.

    @bp.post("/<uuid:workflow_id>/execute")
    @signed_in
    @idempotent
    @describes(body=ExecuteIn, optional=True, response=AcceptedOut, status=202, errors=("insufficient_credits",))
    def execute(workflow_id: UUID) -> ResponseReturnValue:
        \"\"\"Start a run of the workflow; 202, because a worker drives it.\"\"\"

It stands directly above the view and says only what cannot be derived: the docstring is the summary; `signed_in`,
`idempotent`, `body`, `query` and the address add their own parameters and errors, and every route may exceed a rate
limit or fail. `api.openapi.document` combines them.

`response` is a schema, a field, a list of one of them, a tuple of alternatives, a `Page`, or a dict that names several;
None is no content.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import Schema, fields

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Page:
    """The response of a list: its items under `name`, and the cursor of the next page."""

    name: str
    item: type[Schema]
    has_cursor: bool = True


Shape = type[Schema] | fields.Field[Any] | Page | Mapping[str, Any] | list[Any] | tuple[Any, ...] | None

TIER_LIMITS = ("workflow_limit_reached", "workflow_read_only", "node_limit_reached", "storage_limit_reached")
LOCATED = ("Location", "Retry-After")
CONDITIONAL = ("malformed_if_match", "precondition_failed")  # of routes that take If-Match


@dataclass(frozen=True)
class Description:
    """The description of one view, as given to `describes`."""

    response: Shape
    status: int
    body: type[Schema] | None
    optional: bool
    query: type[Schema] | None
    errors: tuple[str, ...]
    headers: tuple[str, ...]
    media: str | tuple[str, ...]
    other_responses: Mapping[int, Shape] = field(default_factory=dict)
    pending_response: type[Schema] | None = None


def describes(
    *,
    response: Shape = None,
    status: int | None = None,
    body: type[Schema] | None = None,
    optional: bool = False,
    query: type[Schema] | None = None,
    errors: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    media: str | tuple[str, ...] = "application/json",
    other_responses: Mapping[int, Shape] | None = None,
    pending_response: type[Schema] | None = None,
) -> Callable[[View], View]:
    """Decorate a view with its description.

    Args:
        response: the shape of its response.
        status: the status of that; 200, or 204 without content, unless given.
        body: the schema of its JSON body.
        optional: whether the body may be missing.
        query: the schema of its query string.
        errors: the codes of its own errors.
        headers: names in `api.openapi.headers` of the headers that it sends besides the usual ones.
        media: the media type, or types, of the response.
        other_responses: the shapes of its other successful responses, by status.
        pending_response: the shape of its 202, for a view that needs Stripe and may respond with Stripe's errors.
    """
    default_status = 204 if response is None else 200
    description = Description(
        response,
        status or default_status,
        body,
        optional,
        query,
        errors,
        headers,
        media,
        dict(other_responses or {}),
        pending_response,
    )

    def mark(view: View) -> View:
        vars(view)["described"] = description  # `wraps` copies this mark to outer decorators
        return view

    return mark
