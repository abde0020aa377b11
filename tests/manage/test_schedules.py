"""Operators list users' schedules, pause one, and let it go on."""

from models.services.schedules import schedules
from models.tables import WorkflowSchedule
from tests.support import factories


def test_one_is_listed_paused_and_resumed(manage, session, last_entry):
    owner = factories.user(session, email="ada@example.com")
    row = schedules.create(session, owner, factories.workflow(session, owner).id, cron="0 7 * * *", time_zone="UTC")
    listed = manage("schedules", "list", "--user", "Ada@example.com", "--json").document
    assert [(one["id"], one["cron"]) for one in listed] == [(str(row.id), "0 7 * * *")]
    assert manage("schedules", "pause", row.id).out == f"The schedule {row.id} is off.\n"
    assert (last_entry("schedule.paused").subject_id, session.get_one(WorkflowSchedule, row.id).next_run_at) == (
        *(owner.id, None),
    )
    assert manage("schedules", "pause", row.id).out == f"The schedule {row.id} was off before.\n"
    assert manage("schedules", "resume", row.id).out == f"The schedule {row.id} is on.\n"
    assert session.get_one(WorkflowSchedule, row.id).next_run_at is not None


def test_other_users_are_not_listed_and_unknown_ids_refused(manage, session):
    owner = factories.user(session)
    assert manage("schedules", "list", "--user", "nobody@example.com").out == "No schedule matches.\n"
    answer = manage("schedules", "pause", owner.id)
    assert (answer.status, "no such schedule" in answer.err) == (1, True)
