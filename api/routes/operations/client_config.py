"""The configuration that clients need before anybody signs in."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.http.parsing import show
from api.openapi import describes
from api.openapi.document import TITLE, VERSION
from api.schemas.operations import ClientConfigOut
from settings import Settings

bp = Blueprint("client_config", __name__)


@bp.get("/config")
@describes(response=ClientConfigOut)
def index() -> ResponseReturnValue:
    """Get the configuration of this service for its clients: its name, how cards are entered, the demo account."""
    return show(ClientConfigOut, client_config(current_app.extensions["settings"]))


def client_config(settings: Settings) -> dict[str, object]:
    """The values of `ClientConfigOut`; test cards are offered where no real money moves and no card can be entered."""
    email, _, password = settings.demo_account.partition(":")
    key = settings.stripe.publishable_key or None
    return {
        "name": TITLE,
        "version": VERSION,
        "stripe_publishable_key": key,
        "test_cards": key is None and not settings.stripe.livemode,
        "demo": {"email": email, "password": password} if email else None,
    }
