"""Devices for push notifications. Their tokens are sent in bodies, never in addresses, which proxies log."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body
from api.http.session import db
from api.openapi import describes
from api.schemas.accounts.devices import DeviceIn
from models.services.notifications import notifications

bp = Blueprint("devices", __name__, url_prefix="/devices")


@bp.post("")
@signed_in
@describes(body=DeviceIn)
def add() -> ResponseReturnValue:
    """Send the caller's push notifications to this device, and no other user's any more."""
    notifications.add_device(db(), current_user().id, body(DeviceIn)["token"])
    return "", 204


@bp.post("/remove")
@signed_in
@describes(body=DeviceIn)
def remove() -> ResponseReturnValue:
    """Stop sending the caller's push notifications to this device."""
    notifications.forget_device(db(), current_user().id, body(DeviceIn)["token"])
    return "", 204
