"""Reports of published templates: made by users, closed by administrators."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager

from models.errors import Conflict, NotFound, Quota, TooManyAttempts
from models.services.notifications import notifications
from models.services.operations import audit
from models.services.rows.queries import Position, lock_user, newest_first
from models.services.workflows import templates
from models.tables import NotificationKind, ReportOutcome, ReportStatus, Template, TemplateReport, User

MAX_PER_DAY = 20  # of one user
DAY = timedelta(days=1)


class OwnTemplate(Conflict):
    """The template belongs to the caller, who cannot report it."""

    code = "own_template"

    def __init__(self) -> None:
        super().__init__("This is your own template: unpublish or delete it.")


class NotPublished(Conflict):
    """The template is not published."""

    code = "not_published"

    def __init__(self) -> None:
        super().__init__("This template is not published.")


class TooManyReports(TooManyAttempts):
    """The user has reported too many templates today."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            f"You reported {MAX_PER_DAY} templates within a day; try again later.",
            quota=Quota(MAX_PER_DAY, MAX_PER_DAY),
            retry_after=retry_after,
        )


class ReportClosed(Conflict):
    """The report is already closed."""

    code = "report_closed"

    def __init__(self) -> None:
        super().__init__("This report is already closed.")


def report(session: Session, user: User, template_id: UUID, *, reason: str) -> None:
    """Report a published template of another user; a repeat changes nothing.

    Raises `NotFound`, `OwnTemplate` and `TooManyReports`.
    """
    if templates.get(session, user, template_id).owner_id == user.id:
        raise OwnTemplate
    lock_user(session, user.id)
    reported = select(TemplateReport.id).where(TemplateReport.user_id == user.id)
    if session.scalar(reported.where(TemplateReport.template_id == template_id)) is not None:
        return
    _require_below_limit(session, user)
    row = insert(TemplateReport).values(user_id=user.id, template_id=template_id, reason=reason)
    session.execute(row)


def listed(
    session: Session,
    *,
    status: ReportStatus | None = None,
    template_id: UUID | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[TemplateReport]:
    """A page of reports with their templates, newest first; only of one status or template if given.

    Reports of templates that their owners deleted are left out.
    """
    query = select(TemplateReport).join(TemplateReport.template).where(Template.deleted_at.is_(None))
    query = query.options(contains_eager(TemplateReport.template))
    if status is not None:
        closed = TemplateReport.closed_at
        query = query.where(closed.is_(None) if status is ReportStatus.OPEN else closed.is_not(None))
    if template_id is not None:
        query = query.where(TemplateReport.template_id == template_id)
    page = newest_first(query, TemplateReport, limit=limit, offset=offset, after=after)
    return session.scalars(page).all()


def dismiss(session: Session, admin: User, report_id: UUID, *, address: str | None) -> TemplateReport:
    """Close a report without unpublishing its template; raises `NotFound` and `ReportClosed`."""
    row = session.get(TemplateReport, report_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound("report")
    if row.closed_at is not None:
        raise ReportClosed
    row.outcome, row.closed_at = ReportOutcome.DISMISSED, func.now()
    session.flush()
    data = {"reportId": str(row.id)}
    action, subject = "template.report_dismissed", row.template_id
    audit.record(session, actor=admin.id, action=action, subject=subject, address=address, data=data)
    return row


def unpublish(
    session: Session, admin: User, template_id: UUID, *, reason: str, address: str | None
) -> tuple[Template, Sequence[UUID]]:
    """Unpublish a template permanently, close its reports and notify its owner.

    Returns the template and the ids of the notifications to publish. Raises `NotFound` and `NotPublished`.
    """
    template = session.get(Template, template_id, with_for_update={"of": Template}, populate_existing=True)
    if template is None or template.deleted_at is not None:
        raise NotFound("template")
    if not template.published:
        raise NotPublished
    template.published, template.unpublished_at = False, func.now()
    session.flush()
    closed = update(TemplateReport).where(TemplateReport.template_id == template_id, TemplateReport.closed_at.is_(None))
    session.execute(
        closed.values(outcome=ReportOutcome.UNPUBLISHED, closed_at=func.now()),
        execution_options={"synchronize_session": "fetch"},
    )
    data = {"templateId": str(template_id), "reason": reason}
    subject = template.owner_id or template_id
    audit.record(session, actor=admin.id, action="template.unpublished", subject=subject, address=address, data=data)
    return template, _notify_owner(session, template, reason)


def _require_below_limit(session: Session, user: User) -> None:
    """Raise `TooManyReports` if the user made `MAX_PER_DAY` reports within the last day."""
    left = func.extract("epoch", TemplateReport.created_at + DAY - func.now())
    newest = select(left).where(TemplateReport.user_id == user.id).order_by(TemplateReport.created_at.desc())
    seconds = session.scalar(newest.offset(MAX_PER_DAY - 1).limit(1))
    if seconds is not None and seconds > 0:
        raise TooManyReports(float(seconds))


def _notify_owner(session: Session, template: Template, reason: str) -> Sequence[UUID]:
    if template.owner_id is None:
        return ()
    payload = {"templateName": template.name, "reason": reason}
    key = f"template-unpublished:{template.id}"
    return notifications.add(session, template.owner_id, NotificationKind.TEMPLATE_UNPUBLISHED, payload, key=key)
