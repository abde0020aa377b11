"""What the caller pays with. It is kept at Stripe; what is listed is our mirror."""

from uuid import UUID

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.idempotency import idempotent
from api.limits import require_store
from api.openapi import describes
from api.schemas.payment_methods import PaymentMethodIn, PaymentMethodOut
from api.schemas.subscriptions import PendingOut
from api.session import db
from api.stripe_jobs import ring_and_wait
from models.services import payment_methods

bp = Blueprint("payment_methods", __name__, url_prefix="/payment-methods")


@bp.get("")
@signed_in
@describes(answers=[PaymentMethodOut])
def index() -> ResponseReturnValue:
    """The default first, then the newest."""
    return jsonify(show(PaymentMethodOut, payment_methods.list_owned(db(), current_user()), many=True))


@bp.post("/add")
@signed_in
@idempotent
@describes(answers=PaymentMethodOut, takes=PaymentMethodIn, waits=PendingOut, refuses=("not_found",))
def add() -> ResponseReturnValue:
    """Keep one that the app made with Stripe."""
    require_store()
    method_id = body(PaymentMethodIn)["payment_method_id"]
    return ring_and_wait(payment_methods.start_add(db(), current_user(), method_id))


@bp.put("/default")
@signed_in
@describes(answers=PaymentMethodOut, takes=PaymentMethodIn, waits=PendingOut, refuses=("not_found",))
def default() -> ResponseReturnValue:
    """Pay with this one from now on."""
    method_id = body(PaymentMethodIn)["payment_method_id"]
    return ring_and_wait(payment_methods.start_default(db(), current_user(), method_id))


@bp.delete("/<uuid:method_id>")
@signed_in
@describes(waits=PendingOut)
def remove(method_id: UUID) -> ResponseReturnValue:
    """Forget one."""
    return ring_and_wait(payment_methods.start_remove(db(), current_user(), str(method_id)))
