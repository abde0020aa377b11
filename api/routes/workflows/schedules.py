"""Schedules of workflows: when runs are started without a request."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, url_for
from flask.typing import ResponseReturnValue

from api.auth.audit import record
from api.auth.authenticate import current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import body, show
from api.http.session import db, reads_replica
from api.jobs.idempotency import idempotent
from api.openapi import CONDITIONAL, Page, describes
from api.routes.workflows.preconditions import ChangedMeanwhile, digest, tags_to_match
from api.schemas.base import PageQuery
from api.schemas.workflows.schedules import (
    ScheduleDetailOut,
    ScheduleIn,
    ScheduleOut,
    SchedulePreviewIn,
    SchedulePreviewOut,
    SchedulesQuery,
    ScheduleUpdateIn,
)
from models.services.schedules import schedules
from models.tables import WorkflowSchedule

bp = Blueprint("schedules", __name__)

OF_WORKFLOW = "/workflows/<uuid:workflow_id>/schedules"
ONE = f"{OF_WORKFLOW}/<uuid:schedule_id>"
SETTINGS = ("id", "name", "cron", "timeZone", "input", "maxCredits", "enabled")  # which the ETag stands for


@bp.get("/schedules")
@signed_in
@describes(response=Page("schedules", ScheduleOut), query=SchedulesQuery)
@reads_replica
def index() -> ResponseReturnValue:
    """List the schedules of all workflows of the caller, newest first."""
    args = page_query(SchedulesQuery)
    rows = schedules.list_owned(db(), current_user(), **args)
    return page("schedules", show(ScheduleOut, rows, many=True), rows, args)


@bp.post("/schedules/preview")
@signed_in
@describes(response=SchedulePreviewOut, body=SchedulePreviewIn)
def preview() -> ResponseReturnValue:
    """Describe a schedule in English, with its next five times, without saving it."""
    args = body(SchedulePreviewIn)
    return show(SchedulePreviewOut, schedules.preview(db(), current_user(), args["cron"], args["time_zone"]))


@bp.get(OF_WORKFLOW)
@signed_in
@describes(response=Page("schedules", ScheduleOut), query=PageQuery)
@reads_replica
def of_workflow(workflow_id: UUID) -> ResponseReturnValue:
    """List the schedules of a workflow, newest first."""
    args = page_query(PageQuery)
    rows = schedules.list_of_workflow(db(), current_user(), workflow_id, **args)
    return page("schedules", show(ScheduleOut, rows, many=True), rows, args)


@bp.post(OF_WORKFLOW)
@signed_in
@idempotent
@describes(
    response={"schedule": ScheduleDetailOut},
    status=201,
    body=ScheduleIn,
    errors=("schedule_limit_reached",),
    headers=("ETag", "Location"),
)
def create(workflow_id: UUID) -> ResponseReturnValue:
    """Add a schedule, which starts runs of the workflow's newest version from now on."""
    schedule = schedules.create(db(), current_user(), workflow_id, **body(ScheduleIn))
    _record("schedule.created", schedule)
    address = url_for("schedules.get", workflow_id=workflow_id, schedule_id=schedule.id)
    shown, tag = _shown_with_tag(schedule)
    return shown, 201, {"Location": address, **tag}


@bp.get(ONE)
@signed_in
@describes(response={"schedule": ScheduleDetailOut}, headers=("ETag",))
def get(workflow_id: UUID, schedule_id: UUID) -> ResponseReturnValue:
    """Get a schedule, with the input of its runs."""
    return _shown_with_tag(schedules.get(db(), current_user(), workflow_id, schedule_id))


@bp.put(ONE)
@signed_in
@describes(response={"schedule": ScheduleDetailOut}, body=ScheduleUpdateIn, errors=CONDITIONAL, headers=("ETag",))
def update(workflow_id: UUID, schedule_id: UUID) -> ResponseReturnValue:
    """Change a schedule. With `If-Match`, 412 if its settings were changed meanwhile."""
    changes = body(ScheduleUpdateIn)
    _require_match(workflow_id, schedule_id)
    schedule = schedules.update(db(), current_user(), workflow_id, schedule_id, **changes)
    _record("schedule.changed", schedule)
    return _shown_with_tag(schedule)


@bp.delete(ONE)
@signed_in
@describes(errors=CONDITIONAL)
def delete(workflow_id: UUID, schedule_id: UUID) -> ResponseReturnValue:
    """Delete a schedule; its runs stay."""
    _require_match(workflow_id, schedule_id)
    _record("schedule.deleted", schedules.delete(db(), current_user(), workflow_id, schedule_id))
    return Response(status=204)


def _require_match(workflow_id: UUID, schedule_id: UUID) -> None:
    """Check `If-Match` against the stored schedule, and lock that until the end of the request."""
    tags = tags_to_match()
    if tags is None:
        return
    stored = schedules.get(db(), current_user(), workflow_id, schedule_id, lock=True)
    shown = show(ScheduleDetailOut, stored)
    if (tag := _tag_of(shown)) not in tags:
        raise ChangedMeanwhile("schedule", shown, tag)


def _shown_with_tag(schedule: WorkflowSchedule) -> tuple[dict[str, Any], dict[str, str]]:
    shown = show(ScheduleDetailOut, schedule)
    return {"schedule": shown}, {"ETag": f'"{_tag_of(shown)}"'}


def _tag_of(shown: dict[str, Any]) -> str:
    """The ETag of a schedule: of its settings, because a run that starts while its owner edits it is no conflict."""
    return digest({name: shown[name] for name in SETTINGS})


def _record(action: str, schedule: WorkflowSchedule) -> None:
    about = {"schedule": str(schedule.id), "workflow": str(schedule.workflow_id)}
    record(action, current_user().id, actor=None, **about, enabled=schedule.enabled)
