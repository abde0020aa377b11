"""Results of calls that need Stripe and were accepted with 202."""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.session import db
from api.jobs.dispatch import where
from api.jobs.prefer_wait import accepted
from api.jobs.stripe_responses import stripe_response
from api.openapi import describes
from api.schemas.billing.payment_methods import PaymentMethodOut
from api.schemas.billing.purchases import PurchaseOut
from api.schemas.billing.subscriptions import CancelledSubscriptionOut, ContinuedOut, PendingOut, SubscribedOut
from models.services.stripe import stripe_requests

OUTCOME_RESPONSES = (PurchaseOut, PaymentMethodOut, CancelledSubscriptionOut, ContinuedOut, SubscribedOut)

bp = Blueprint("stripe_requests", __name__, url_prefix="/billing/requests")


@bp.get("/<uuid:request_id>")
@signed_in
@describes(response=OUTCOME_RESPONSES, other_responses={201: SubscribedOut, 204: None}, pending_response=PendingOut)
def get(request_id: UUID) -> ResponseReturnValue:
    """Get the final response of a call that needs Stripe; 202 while there is none, after the preferred wait."""
    job = stripe_requests.get(db(), current_user(), request_id)
    return stripe_response(job) or accepted(job.id, where(job), {"id": job.id, "status": job.status}, wait=0)
