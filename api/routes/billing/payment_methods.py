"""The caller's payment methods. They are stored at Stripe; the list shows our mirror of them."""

from uuid import UUID

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body, show
from api.http.session import db
from api.jobs.dispatch import enqueue_and_wait
from api.jobs.idempotency import idempotent
from api.limits.rate_limits import require_store
from api.openapi import describes
from api.schemas.billing.payment_methods import PaymentMethodIn, PaymentMethodOut
from api.schemas.billing.subscriptions import PendingOut
from models.services.stripe import payment_methods

bp = Blueprint("payment_methods", __name__, url_prefix="/payment-methods")


@bp.get("")
@signed_in
@describes(response=[PaymentMethodOut])
def index() -> ResponseReturnValue:
    """List the caller's payment methods: the default first, then the newest."""
    return jsonify(show(PaymentMethodOut, payment_methods.list_owned(db(), current_user()), many=True))


@bp.post("/add")
@signed_in
@idempotent
@describes(response=PaymentMethodOut, body=PaymentMethodIn, pending_response=PendingOut, errors=("not_found",))
def add() -> ResponseReturnValue:
    """Save a payment method that the app created with Stripe."""
    require_store()
    method_id = body(PaymentMethodIn)["payment_method_id"]
    return enqueue_and_wait(payment_methods.start_add(db(), current_user(), method_id))


@bp.put("/default")
@signed_in
@describes(response=PaymentMethodOut, body=PaymentMethodIn, pending_response=PendingOut, errors=("not_found",))
def default() -> ResponseReturnValue:
    """Make a payment method the default."""
    method_id = body(PaymentMethodIn)["payment_method_id"]
    return enqueue_and_wait(payment_methods.start_default(db(), current_user(), method_id))


@bp.delete("/<uuid:method_id>")
@signed_in
@describes(pending_response=PendingOut)
def remove(method_id: UUID) -> ResponseReturnValue:
    """Remove a payment method."""
    return enqueue_and_wait(payment_methods.start_remove(db(), current_user(), str(method_id)))
