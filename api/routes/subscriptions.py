"""What the caller subscribes to. Stripe decides; what is shown is our mirror of it."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.idempotency import idempotent
from api.limits import require_store
from api.openapi import describes
from api.schemas.accounts import NothingIn
from api.schemas.subscriptions import (
    ContinuedOut,
    CurrentOut,
    EndingOut,
    PendingOut,
    PriceIn,
    SubscribedOut,
    SubscribeIn,
    standing,
)
from api.session import db
from api.stripe_jobs import ring_and_wait
from models.services import subscriptions
from models.services.allowances import allowances

bp = Blueprint("subscriptions", __name__, url_prefix="/subscriptions")


@bp.get("/current")
@signed_in
@describes(answers=CurrentOut)
def current() -> ResponseReturnValue:
    """The tier, what it allows, and until when it is paid for."""
    told = standing(current_user(), subscriptions.current(db(), current_user()))
    return show(CurrentOut, {**told, "usage": allowances(db(), current_user())})


@bp.post("/create")
@signed_in
@idempotent
@describes(
    answers=SubscribedOut,
    status=201,
    takes=SubscribeIn,
    waits=PendingOut,
    refuses=("already_subscribed", "payments_frozen"),
    headers=("Location",),
)
def create() -> ResponseReturnValue:
    """Subscribe to a plan."""
    require_store()
    return ring_and_wait(subscriptions.start(db(), current_user(), **body(SubscribeIn), tiers=_tiers()))


@bp.put("/update")
@signed_in
@describes(answers=SubscribedOut, takes=PriceIn, waits=PendingOut, refuses=("payments_frozen", "not_found"))
def update() -> ResponseReturnValue:
    """Change to another plan; what was paid for and not used is taken into account."""
    require_store()
    return ring_and_wait(subscriptions.start_update(db(), current_user(), **body(PriceIn), tiers=_tiers()))


@bp.post("/cancel")
@signed_in
@idempotent
@describes(answers=EndingOut, takes=NothingIn, optional=True, waits=PendingOut, refuses=("not_found",))
def cancel() -> ResponseReturnValue:
    """End it with the period that is paid for."""
    body(NothingIn, optional=True)
    return ring_and_wait(subscriptions.start_cancel(db(), current_user()))


@bp.post("/resume")
@signed_in
@idempotent
@describes(answers=ContinuedOut, takes=NothingIn, optional=True, waits=PendingOut, refuses=("not_found",))
def resume() -> ResponseReturnValue:
    """Go on after all."""
    body(NothingIn, optional=True)
    return ring_and_wait(subscriptions.start_resume(db(), current_user()))


def _tiers() -> dict[str, str]:
    tiers: dict[str, str] = current_app.extensions["settings"].stripe.tiers
    return tiers
