"""The caller's invoices. Their PDFs are stored at Stripe."""

from uuid import UUID

from flask import Blueprint, jsonify, redirect
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import query, show
from api.http.session import db
from api.openapi import describes
from api.schemas.base import String
from api.schemas.billing.invoices import InvoiceOut, InvoicesQuery
from models.services.stripe import invoices

bp = Blueprint("invoices", __name__, url_prefix="/invoices")


@bp.get("")
@signed_in
@describes(response=[InvoiceOut], query=InvoicesQuery)
def index() -> ResponseReturnValue:
    """List the caller's invoices, newest first."""
    return jsonify(show(InvoiceOut, invoices.list_owned(db(), current_user(), **query(InvoicesQuery)), many=True))


@bp.get("/<uuid:invoice_id>/pdf")
@signed_in
@describes(response=String(), status=302, media="text/html", headers=("Location",))
def pdf(invoice_id: UUID) -> ResponseReturnValue:
    """Redirect to the PDF of an invoice at Stripe."""
    return redirect(invoices.pdf_url(db(), current_user(), invoice_id))
