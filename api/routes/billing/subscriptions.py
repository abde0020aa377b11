"""The caller's subscription. It is managed by Stripe; responses show our mirror of it."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body, show
from api.http.session import db
from api.jobs.dispatch import enqueue_and_wait
from api.jobs.idempotency import idempotent
from api.limits.rate_limits import require_store
from api.openapi import describes
from api.schemas.accounts.accounts import NothingAppIn
from api.schemas.billing.subscriptions import (
    CancelledSubscriptionOut,
    ContinuedOut,
    CurrentOut,
    PendingOut,
    PlanOut,
    PlanPreviewIn,
    PlanPreviewOut,
    PriceIn,
    SubscribedOut,
    SubscribeIn,
    plans,
    subscription_state,
)
from models.services.credits.quotas import quotas
from models.services.stripe import subscriptions

bp = Blueprint("subscriptions", __name__, url_prefix="/subscriptions")


@bp.get("/current")
@signed_in
@describes(response=CurrentOut)
def current() -> ResponseReturnValue:
    """Get the caller's tier with its limits, usage and paid period."""
    state = subscription_state(current_user(), subscriptions.current(db(), current_user()))
    return show(CurrentOut, {**state, "usage": quotas(db(), current_user())})


@bp.get("/plans")
@signed_in
@describes(response={"plans": [PlanOut]})
def list_plans() -> ResponseReturnValue:
    """List the plans with their prices and limits, the cheapest first."""
    return {"plans": show(PlanOut, plans(_tiers()), many=True)}


@bp.post("/create")
@signed_in
@idempotent
@describes(
    response=SubscribedOut,
    status=201,
    body=SubscribeIn,
    pending_response=PendingOut,
    errors=("change_under_way", "not_found"),
    headers=("Location",),
)
def create() -> ResponseReturnValue:
    """Subscribe to a plan, change to it, or resume it: paid at once with a payment method."""
    require_store()
    return enqueue_and_wait(subscriptions.start(db(), current_user(), **body(SubscribeIn), tiers=_tiers()))


@bp.put("/update")
@signed_in
@describes(response=SubscribedOut, body=PriceIn, pending_response=PendingOut, errors=("not_found",))
def update() -> ResponseReturnValue:
    """Change to another plan; the unused part of the paid period is credited."""
    require_store()
    return enqueue_and_wait(subscriptions.start_update(db(), current_user(), **body(PriceIn), tiers=_tiers()))


@bp.post("/preview")
@signed_in
@describes(response=PlanPreviewOut, body=PlanPreviewIn, pending_response=PendingOut, errors=("conflict", "not_found"))
def preview() -> ResponseReturnValue:
    """Get what a change to another plan would cost, with the unused part of the paid period; changes nothing."""
    require_store()
    asked = {**body(PlanPreviewIn), "tiers": _tiers(), "is_preview": True}
    return enqueue_and_wait(subscriptions.start_update(db(), current_user(), **asked))


@bp.post("/cancel")
@signed_in
@idempotent
@describes(
    response=CancelledSubscriptionOut,
    body=NothingAppIn,
    optional=True,
    pending_response=PendingOut,
    errors=("not_found",),
)
def cancel() -> ResponseReturnValue:
    """Cancel the subscription at the end of the paid period."""
    body(NothingAppIn, optional=True)
    return enqueue_and_wait(subscriptions.start_cancel(db(), current_user()))


@bp.post("/resume")
@signed_in
@idempotent
@describes(response=ContinuedOut, body=NothingAppIn, optional=True, pending_response=PendingOut, errors=("not_found",))
def resume() -> ResponseReturnValue:
    """Resume a subscription that was cancelled and has not ended yet."""
    body(NothingAppIn, optional=True)
    return enqueue_and_wait(subscriptions.start_resume(db(), current_user()))


def _tiers() -> dict[str, str]:
    tiers: dict[str, str] = current_app.extensions["settings"].stripe.tiers
    return tiers
