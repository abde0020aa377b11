"""Purchases of credits."""

from uuid import UUID

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import body, show
from api.http.session import db, reads_replica
from api.jobs.dispatch import enqueue_and_wait
from api.jobs.idempotency import idempotent
from api.limits.rate_limits import require_store
from api.openapi import Page, describes
from api.schemas.base import PageQuery
from api.schemas.billing.purchases import PurchaseIn, PurchaseOut
from models.services.stripe import purchases

bp = Blueprint("purchases", __name__, url_prefix="/credits")


@bp.post("/purchase")
@signed_in
@idempotent
@describes(response=PurchaseOut, body=PurchaseIn, pending_response=PurchaseOut, errors=("payments_frozen", "not_found"))
def create() -> ResponseReturnValue:
    """Buy a package: paid at once with a payment method, or else confirmed by the app with the client secret."""
    require_store()
    purchase, job = purchases.start(db(), current_user(), **body(PurchaseIn))
    address = url_for("purchases.get", purchase_id=purchase.id)
    return enqueue_and_wait(job, address=address, body=show(PurchaseOut, purchase))


@bp.get("/purchases")
@signed_in
@describes(response=Page("purchases", PurchaseOut), query=PageQuery)
@reads_replica
def index() -> ResponseReturnValue:
    """List the caller's purchases, newest first."""
    args = page_query(PageQuery)
    rows = purchases.list_owned(db(), current_user(), **args)
    return page("purchases", show(PurchaseOut, rows, many=True), rows, args)


@bp.get("/purchases/<uuid:purchase_id>")
@signed_in
@describes(response=PurchaseOut)
def get(purchase_id: UUID) -> ResponseReturnValue:
    """Get a purchase and its status."""
    return show(PurchaseOut, purchases.get(db(), current_user(), purchase_id))
