"""What became of a call that needed Stripe and was answered with 202."""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.openapi import describes
from api.outcomes import outcome
from api.schemas.payment_methods import PaymentMethodOut
from api.schemas.purchases import PurchaseOut
from api.schemas.subscriptions import ContinuedOut, EndingOut, PendingOut, SubscribedOut
from api.session import db
from api.stripe_jobs import where
from api.waiting import later
from models.services import stripe_requests

OUTCOMES = (PurchaseOut, PaymentMethodOut, EndingOut, ContinuedOut, SubscribedOut)

bp = Blueprint("stripe_requests", __name__, url_prefix="/billing/requests")


@bp.get("/<uuid:request_id>")
@signed_in
@describes(answers=OUTCOMES, also={201: SubscribedOut, 204: None}, waits=PendingOut)
def get(request_id: UUID) -> ResponseReturnValue:
    """The answer that the call would have had; 202 while there is none, after the wait that is asked for."""
    job = stripe_requests.get(db(), current_user(), request_id)
    return outcome(job) or later(job.id, where(job), {"id": job.id, "status": job.status}, wait=0)
