"""Schemas of template reports for administrators."""

from marshmallow import fields

from api.schemas.base import Boolean, EnumText, Id, Out, PageQuery, String, Time
from models.tables import ReportOutcome, ReportStatus


class ReportsQuery(PageQuery):
    """Filters of template reports."""

    status = fields.Enum(ReportStatus, by_value=True, load_default=None)
    template_id = fields.UUID(load_default=None)


class TemplateReportOut(Out):
    """A report of a template: its author, reason and outcome."""

    id = Id()
    template_id = Id()
    template_name = String(attribute="template.name")
    template_owner_id = Id(attribute="template.owner_id", allow_none=True)
    published = Boolean(attribute="template.published")
    user_id = Id()
    reason = String()
    status = EnumText(ReportStatus)
    outcome = EnumText(ReportOutcome, allow_none=True)
    created_at = Time()
    closed_at = Time(allow_none=True)
