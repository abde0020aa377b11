"""What the caller subscribes to. Stripe decides; what is shown is our mirror of it."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.idempotency import idempotent
from api.schemas.accounts import NothingIn
from api.schemas.subscriptions import CurrentOut, PriceIn, SubscribeIn, standing
from api.session import db
from api.stripe_jobs import ring_and_wait
from models.services import subscriptions

bp = Blueprint("subscriptions", __name__, url_prefix="/subscriptions")


@bp.get("/current")
@signed_in
def current() -> ResponseReturnValue:
    """The tier, what it allows, and until when it is paid for."""
    return show(CurrentOut, standing(current_user(), subscriptions.current(db(), current_user())))


@bp.post("/create")
@signed_in
@idempotent
def create() -> ResponseReturnValue:
    """Subscribe to a plan."""
    return ring_and_wait(subscriptions.start(db(), current_user(), **body(SubscribeIn), tiers=_tiers()))


@bp.put("/update")
@signed_in
def update() -> ResponseReturnValue:
    """Change to another plan; what was paid for and not used is taken into account."""
    return ring_and_wait(subscriptions.start_update(db(), current_user(), **body(PriceIn), tiers=_tiers()))


@bp.post("/cancel")
@signed_in
@idempotent
def cancel() -> ResponseReturnValue:
    """End it with the period that is paid for."""
    body(NothingIn, optional=True)
    return ring_and_wait(subscriptions.start_cancel(db(), current_user()))


@bp.post("/resume")
@signed_in
@idempotent
def resume() -> ResponseReturnValue:
    """Go on after all."""
    body(NothingIn, optional=True)
    return ring_and_wait(subscriptions.start_resume(db(), current_user()))


def _tiers() -> dict[str, str]:
    tiers: dict[str, str] = current_app.extensions["settings"].stripe.tiers
    return tiers
