"""Schemas of schedules. The service validates expressions, time zones and limits."""

from marshmallow import fields, validate

from api.schemas.base import (
    Boolean,
    Credits,
    Id,
    Ids,
    In,
    Integer,
    Out,
    PageQuery,
    Raw,
    StrictBoolean,
    String,
    Time,
    TrimmedString,
)
from models.rules.values.cron import MAX_LENGTH

CRON_LENGTH, ZONE_LENGTH = validate.Length(min=1, max=MAX_LENGTH), validate.Length(min=1, max=64)


class SchedulePreviewIn(In):
    """A cron expression of five fields, and the IANA time zone in which it is meant."""

    cron = fields.String(required=True, validate=CRON_LENGTH)
    time_zone = fields.String(required=True, validate=ZONE_LENGTH)


class ScheduleIn(SchedulePreviewIn):
    """A new schedule; `input` and `maxCredits` are those of each run."""

    name = TrimmedString(200, min_length=0, load_default="")
    input = fields.Raw(load_default=None, allow_none=True)
    max_credits = Credits(load_default=None, allow_none=True)
    enabled = StrictBoolean(load_default=True)


class ScheduleUpdateIn(In):
    """The fields of a schedule to change."""

    cron = fields.String(validate=CRON_LENGTH)
    time_zone = fields.String(validate=ZONE_LENGTH)
    name = TrimmedString(200, min_length=0)
    input = fields.Raw(allow_none=True)
    max_credits = Credits(allow_none=True)
    enabled = StrictBoolean()


class SchedulesQuery(PageQuery):
    """Filters of schedules: those of these workflows."""

    workflow_ids = Ids(load_default=None)


class SchedulePreviewOut(Out):
    """A schedule in English, and its next times."""

    description = String()
    times = fields.List(Time())


class ScheduleErrorOut(Out):
    """Why a time started no run."""

    code = String()
    message = String()
    at = Time()


class ScheduleOut(Out):
    """A schedule as lists show it: `refusals` is how many times in a row started no run, `lastError` why the last did.

    `lastRunAt` is the last time for which a run was started, `lastExecutionId` that run. `nextRunAt` is null while
    the schedule is not `enabled`.
    """

    id = Id()
    workflow_id = Id()
    name = String()
    cron = String()
    time_zone = String()
    description = String()
    max_credits = Credits(allow_none=True)
    enabled = Boolean()
    next_run_at = Time(allow_none=True)
    last_run_at = Time(allow_none=True)
    last_execution_id = Id(allow_none=True)
    last_error = fields.Nested(ScheduleErrorOut, allow_none=True)
    refusals = Integer()
    created_at = Time()
    updated_at = Time()


class ScheduleDetailOut(ScheduleOut):
    """A schedule, with the input of its runs."""

    input = Raw(allow_none=True)
