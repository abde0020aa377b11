"""The caller's invoices. The PDFs stay at Stripe."""

from uuid import UUID

from flask import Blueprint, jsonify, redirect
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import query, show
from api.openapi import describes
from api.schemas.base import Text
from api.schemas.invoices import InvoiceOut, InvoicesQuery
from api.session import db
from models.services import invoices

bp = Blueprint("invoices", __name__, url_prefix="/invoices")


@bp.get("")
@signed_in
@describes(answers=[InvoiceOut], asks=InvoicesQuery)
def index() -> ResponseReturnValue:
    """The newest first."""
    return jsonify(show(InvoiceOut, invoices.list_owned(db(), current_user(), **query(InvoicesQuery)), many=True))


@bp.get("/<uuid:invoice_id>/pdf")
@signed_in
@describes(answers=Text(), status=302, media="text/html", headers=("Location",))
def pdf(invoice_id: UUID) -> ResponseReturnValue:
    """To Stripe's PDF."""
    return redirect(invoices.pdf_url(db(), current_user(), invoice_id))
