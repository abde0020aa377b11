"""Credits for money."""

from uuid import UUID

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.idempotency import idempotent
from api.limits import require_store
from api.openapi import Page, describes
from api.paging import page, page_query
from api.schemas.base import PageQuery
from api.schemas.purchases import PurchaseIn, PurchaseOut
from api.session import db
from api.stripe_jobs import ring_and_wait
from models.services import purchases

bp = Blueprint("purchases", __name__, url_prefix="/credits")


@bp.post("/purchase")
@signed_in
@idempotent
@describes(answers=PurchaseOut, takes=PurchaseIn, waits=PurchaseOut, refuses=("payments_frozen", "not_found"))
def create() -> ResponseReturnValue:
    """Buy a package: paid at once with a payment method, else confirmed by the app with the client secret."""
    require_store()
    purchase, job = purchases.start(db(), current_user(), **body(PurchaseIn))
    address = url_for("purchases.get", purchase_id=purchase.id)
    return ring_and_wait(job, address=address, body=show(PurchaseOut, purchase))


@bp.get("/purchases")
@signed_in
@describes(answers=Page("purchases", PurchaseOut), asks=PageQuery)
def index() -> ResponseReturnValue:
    """The caller's purchases, newest first."""
    args = page_query(PageQuery)
    rows = purchases.list_owned(db(), current_user(), **args)
    return page("purchases", show(PurchaseOut, rows, many=True), rows, args)


@bp.get("/purchases/<uuid:purchase_id>")
@signed_in
@describes(answers=PurchaseOut)
def get(purchase_id: UUID) -> ResponseReturnValue:
    """How a purchase stands."""
    return show(PurchaseOut, purchases.get(db(), current_user(), purchase_id))
