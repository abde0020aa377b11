"""The description of this API, for programs and for people. Everything that the page needs ships with the service."""

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue

from api.openapi import describes
from api.openapi.published import description, file, page
from api.schemas.base import Text, Thing

bp = Blueprint("docs", __name__)


@bp.get("/openapi.json")
@describes(answers=Thing(), also={304: None}, headers=("ETag",))
def openapi() -> ResponseReturnValue:
    """This description, as OpenAPI 3.1."""
    return description(current_app._get_current_object())


@bp.get("/docs")
@describes(answers=Text(), media="text/html")
def docs() -> ResponseReturnValue:
    """This description, to be read and tried out in a browser."""
    return page()


@bp.get("/docs/<any('swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png', 'start.js'):part>")
@describes(answers=Text(), media=("text/css", "text/javascript", "image/png"), also={304: None}, headers=("ETag",))
def asset(part: str) -> Response:
    """What the page is made of."""
    return file(part)
