"""Which notifications the caller wants, and links in mails that turn such mails off."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body, query, show
from api.http.session import db
from api.openapi import describes
from api.schemas.accounts.accounts import LinkIn, MessageOut
from api.schemas.accounts.notifications import PreferencesIn, PreferencesOut, UnsubscribeQuery
from models.services.notifications import preferences
from models.services.notifications.preferences import Choice
from models.tables import Channel

bp = Blueprint("notifications", __name__)


@bp.get("/notifications/preferences")
@signed_in
@describes(response=PreferencesOut)
def index() -> ResponseReturnValue:
    """List the topics of notifications, the caller's choices about them, and which of them cannot be turned off."""
    return _shown()


@bp.put("/notifications/preferences")
@signed_in
@describes(response=PreferencesOut, body=PreferencesIn, errors=("notification_required",))
def update() -> ResponseReturnValue:
    """Turn topics on or off by channel; what is missing stays as it is."""
    preferences.change(db(), current_user().id, _choices(body(PreferencesIn)["preferences"]))
    return _shown()


@bp.post("/unsubscribe")
@describes(
    response=MessageOut, body=LinkIn, optional=True, query=UnsubscribeQuery, errors=("unsubscribe_link_invalid",)
)
def unsubscribe() -> ResponseReturnValue:
    """Turn the mails of a link's topic off, without signing in; mail programs send the token in the address.

    Their form is fixed by RFC 8058 and says nothing more, so it is not read.
    """
    token = body(LinkIn)["token"] if request.is_json else query(UnsubscribeQuery)["token"]
    topic = preferences.unsubscribe(db(), token)
    title = preferences.TOPICS[topic].title
    return {"message": f"You will not get mails of this kind any more: {title}."}


def _shown() -> ResponseReturnValue:
    user_id = current_user().id
    found = {
        "preferences": preferences.list_owned(db(), user_id),
        "devices": preferences.count_devices(db(), user_id),
    }
    return show(PreferencesOut, found)


def _choices(chosen: Sequence[Mapping[str, Any]]) -> list[Choice]:
    return [
        Choice(choice["topic"], channel, choice[channel], f"preferences.{number}.{channel}")
        for number, choice in enumerate(chosen)
        for channel in Channel
        if channel in choice
    ]
