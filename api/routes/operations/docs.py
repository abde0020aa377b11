"""The description of this API, as OpenAPI and as a page. The page loads all of its files from this service."""

from flask import Blueprint, Response, current_app, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from api.http.console import PREFIX
from api.http.mounts import MOUNT
from api.openapi import describes
from api.openapi.document import TITLE, VERSION
from api.openapi.published import description, file, page
from api.schemas.base import JsonObject, String
from api.schemas.operations import ServiceOut

PROBES = ("health", "ready", "live")

bp = Blueprint("docs", __name__)


@bp.get("/")
@describes(response=ServiceOut, other_responses={302: None})
def index() -> ResponseReturnValue:
    """Get the name and version of this service, with links; browsers are redirected to the console."""
    is_browser = request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html"
    console = f"{request.environ.get(MOUNT, '')}{PREFIX}"
    response = redirect(console) if is_browser else jsonify(name=TITLE, version=VERSION, links=_links())
    response.vary.add("Accept")
    return response


def _links() -> dict[str, str]:
    endpoints = {"docs": "docs.docs", "openapi": "docs.openapi", **{name: f"health.{name}" for name in PROBES}}
    return {name: url_for(endpoint) for name, endpoint in endpoints.items()}


@bp.get("/openapi.json")
@describes(response=JsonObject(), other_responses={304: None}, headers=("ETag",))
def openapi() -> ResponseReturnValue:
    """Get this description as OpenAPI 3.1."""
    return description(current_app._get_current_object())  # type: ignore[attr-defined]  # of the proxy


@bp.get("/docs")
@describes(response=String(), media="text/html")
def docs() -> ResponseReturnValue:
    """Show this description in a browser, where calls can be tried."""
    return page()


@bp.get("/docs/<any('swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png', 'start.js'):part>")
@describes(
    response=String(),
    media=("text/css", "text/javascript", "image/png"),
    other_responses={304: None},
    headers=("ETag",),
)
def asset(part: str) -> Response:
    """Get a file of the description's page."""
    return file(part)
