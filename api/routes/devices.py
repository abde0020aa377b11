"""Phones that get push messages. Their tokens travel in bodies, never in addresses."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body
from api.openapi import describes
from api.schemas.devices import DeviceIn
from api.session import db
from models.services import notifications

bp = Blueprint("devices", __name__, url_prefix="/devices")


@bp.post("")
@signed_in
@describes(takes=DeviceIn)
def add() -> ResponseReturnValue:
    """Send push messages of the caller to this phone, and nobody else's from now on."""
    notifications.add_device(db(), current_user().id, body(DeviceIn)["token"])
    return "", 204


@bp.post("/remove")
@signed_in
@describes(takes=DeviceIn)
def remove() -> ResponseReturnValue:
    """Send nothing of the caller to this phone any more."""
    notifications.forget_device(db(), current_user().id, body(DeviceIn)["token"])
    return "", 204
