"""For the machines that watch us, from inside: a proxy before the API refuses this address."""

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from api.metrics import exposition
from api.openapi import describes
from api.schemas.base import Text

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
@describes(answers=Text(), media="text/plain")
def metrics() -> ResponseReturnValue:
    """Everything that is counted, in Prometheus's text format."""
    found = exposition(current_app.extensions["broker"], current_app.extensions["settings"].metrics_directory)
    return Response(found, content_type=CONTENT_TYPE_LATEST)
