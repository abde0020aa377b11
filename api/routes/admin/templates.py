"""For administrators: reports of published templates, and removing templates from the gallery.

These routes are nested in `admin`, whose guard protects them.
"""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user
from api.http.client_address import caller
from api.http.paging import page, page_query
from api.http.parsing import body, show
from api.http.session import db
from api.openapi import Page, describes
from api.schemas.accounts.accounts import NothingIn
from api.schemas.accounts.two_factor import ReasonIn
from api.schemas.admin.templates import ReportsQuery, TemplateReportOut
from api.schemas.workflows.templates import TemplateOut
from models.services.workflows import template_reports
from tasks.queue import enqueue_mails

bp = Blueprint("template_reports", __name__)


@bp.get("/template-reports")
@describes(response=Page("reports", TemplateReportOut), query=ReportsQuery)
def reports() -> ResponseReturnValue:
    """List reports of published templates, newest first."""
    args = page_query(ReportsQuery)
    rows = template_reports.listed(db(), **args)
    return page("reports", show(TemplateReportOut, rows, many=True), rows, args)


@bp.post("/template-reports/<uuid:report_id>/dismiss")
@describes(response={"report": TemplateReportOut}, body=NothingIn, optional=True, errors=("report_closed",))
def dismiss(report_id: UUID) -> ResponseReturnValue:
    """Close a report without removing its template; recorded in the audit log."""
    body(NothingIn, optional=True)
    row = template_reports.dismiss(db(), current_user(), report_id, address=caller())
    return {"report": show(TemplateReportOut, row)}


@bp.post("/templates/<uuid:template_id>/unpublish")
@describes(response={"template": TemplateOut}, body=ReasonIn, errors=("not_published",))
def unpublish(template_id: UUID) -> ResponseReturnValue:
    """Remove a template from the gallery permanently: its reports are closed, and its owner is notified."""
    reason = body(ReasonIn)["reason"]
    template, mails = template_reports.unpublish(db(), current_user(), template_id, reason=reason, address=caller())
    enqueue_mails(db(), mails)
    return {"template": show(TemplateOut, template)}
