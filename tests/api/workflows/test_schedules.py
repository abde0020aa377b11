"""A workflow's schedules over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Tier
from models.services.schedules import due_times, schedules
from models.tables import AuditEntry, User, WorkflowSchedule
from tests.support.api.graphs import workflow

DAILY = {"cron": "0 7 * * *", "timeZone": "Europe/Berlin"}


@pytest.fixture
def address(client: FlaskClient) -> str:
    """The schedules of a workflow."""
    return f"{client.post('/workflows', json=workflow()).headers['Location']}/schedules"


def add(client: FlaskClient, address: str, **body: Any) -> Any:
    return client.post(address, json=DAILY | body)


def fields_of(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.json
    return [error["field"] for error in answer.json["errors"]]


class TestASchedule:
    def test_is_added_with_its_next_time_and_its_meaning(self, client: FlaskClient, address: str) -> None:
        answer = add(client, address, name=" Morning ", input={"city": "Oslo"}, maxCredits=2.5)
        added = answer.json["schedule"]
        assert (answer.status_code, answer.headers["Location"]) == (201, f"{address}/{added['id']}")
        assert (added["name"], added["input"], added["maxCredits"]) == ("Morning", {"city": "Oslo"}, 2.5)
        assert (added["enabled"], added["description"]) == (True, "At 07:00 every day")
        assert datetime.fromisoformat(added["nextRunAt"]).minute == 0
        assert (added["lastRunAt"], added["lastExecutionId"], added["lastError"], added["refusals"]) == (*3 * [None], 0)
        assert client.get(answer.headers["Location"]).json["schedule"] == added

    def test_is_listed_for_its_workflow_and_for_all_without_input(self, client: FlaskClient, address: str) -> None:
        added = {add(client, address, input="secret").json["schedule"]["id"] for _ in range(2)}
        for listed in (client.get(address), client.get("/schedules")):
            assert {one["id"] for one in listed.json["schedules"]} == added
            assert "input" not in listed.json["schedules"][0]
        other = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        assert client.get(f"/schedules?workflowIds={other}").json["schedules"] == []

    def test_is_paused_and_goes_on(self, client: FlaskClient, address: str) -> None:
        place = add(client, address).headers["Location"]
        paused = client.put(place, json={"enabled": False}).json["schedule"]
        assert (paused["enabled"], paused["nextRunAt"]) == (False, None)
        assert client.put(place, json={"enabled": True}).json["schedule"]["nextRunAt"] is not None

    def test_is_changed_in_the_fields_that_are_sent(self, client: FlaskClient, address: str) -> None:
        place = add(client, address, name="Old", input=1).headers["Location"]
        changed = client.put(place, json={"cron": "30 6 * * 1", "input": None}).json["schedule"]
        assert (changed["cron"], changed["input"], changed["name"]) == ("30 6 * * 1", None, "Old")
        assert changed["description"] == "At 06:30 on Monday"

    def test_is_deleted(self, client: FlaskClient, address: str) -> None:
        place = add(client, address).headers["Location"]
        assert client.delete(place).status_code == 204
        assert client.get(place).status_code == client.delete(place).status_code == 404
        assert client.get(address).json["schedules"] == []

    def test_is_added_once_for_an_idempotency_key(self, client: FlaskClient, address: str) -> None:
        key = {"Idempotency-Key": "once"}
        first, second = (client.post(address, json=DAILY, headers=key).json for _ in range(2))
        assert first == second
        assert len(client.get(address).json["schedules"]) == 1

    def test_leaves_entries_in_the_audit_log(self, client: FlaskClient, address: str, session: Session) -> None:
        place = add(client, address).headers["Location"]
        client.put(place, json={"enabled": False})
        client.delete(place)
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("schedule")))
        assert set(actions) == {"schedule.created", "schedule.changed", "schedule.deleted"}

    def test_is_gone_with_its_workflow_and_back_with_it(self, client: FlaskClient, address: str) -> None:
        place = add(client, address).headers["Location"]
        of = address.removesuffix("/schedules")
        client.delete(of)
        assert client.get(place).status_code == client.get(address).status_code == 404
        assert client.get("/schedules").json["schedules"] == []
        client.post(f"{of}/undelete")
        assert client.get(place).status_code == 200

    def test_is_not_copied_with_a_workflow(self, client: FlaskClient, address: str) -> None:
        add(client, address)
        shown = client.get(address.removesuffix("/schedules")).json["workflow"]
        copy = client.post("/workflows", json={name: shown[name] for name in ("name", "nodes", "connections")})
        assert client.get(f"{copy.headers['Location']}/schedules").json["schedules"] == []


class TestItsRuns:
    def test_name_it_and_are_found_by_it(self, client: FlaskClient, address: str, session: Session) -> None:
        schedule_id = add(client, address).json["schedule"]["id"]
        client.post(f"{address.removesuffix('/schedules')}/execute", json={})
        schedule = session.scalars(select(WorkflowSchedule)).one()
        schedule.next_run_at = datetime(2027, 1, 1, 7, tzinfo=UTC) - timedelta(days=365)
        session.flush()
        due_times.handle(session, schedule.id)
        session.commit()
        (run,) = client.get(f"/executions?scheduleId={schedule_id}").json["executions"]
        assert (run["scheduleId"], run["scheduledFor"], run["tags"]) == (
            *(schedule_id, "2026-01-01T07:00:00Z", ["schedule"]),
        )
        assert {one["scheduleId"] for one in client.get("/executions").json["executions"]} == {schedule_id, None}
        shown = client.get(f"{address}/{schedule_id}").json["schedule"]
        assert (shown["lastExecutionId"], shown["lastRunAt"]) == (run["id"], "2026-01-01T07:00:00Z")

    def test_are_late_by_a_metric_until_they_start(
        self, client: FlaskClient, address: str, session: Session, metrics: Callable[[], str]
    ) -> None:
        add(client, address)
        assert "agentforge_schedules_overdue_seconds 0.0" in metrics()
        session.scalars(select(WorkflowSchedule)).one().next_run_at = datetime(2026, 1, 1, tzinfo=UTC)
        session.commit()
        assert "agentforge_schedules_overdue_seconds 0.0" not in metrics()


class TestConflicts:
    def test_a_change_since_it_was_read_is_shown(self, client: FlaskClient, address: str) -> None:
        added = add(client, address)
        old = {"If-Match": added.headers["ETag"]}
        client.put(added.headers["Location"], json={"name": "Theirs"})
        answer = client.put(added.headers["Location"], json={"name": "Mine"}, headers=old)
        assert (answer.status_code, answer.json["schedule"]["name"]) == (412, "Theirs")
        assert client.delete(added.headers["Location"], headers=old).status_code == 412
        new = {"If-Match": answer.headers["ETag"]}
        assert client.put(added.headers["Location"], json={"name": "Mine"}, headers=new).status_code == 200

    def test_a_run_that_started_meanwhile_is_none(self, client: FlaskClient, address: str, session: Session) -> None:
        added = add(client, address)
        schedule = session.scalars(select(WorkflowSchedule)).one()
        schedule.last_run_at, schedule.last_execution_id = schedule.next_run_at, schedule.id
        session.commit()
        same = {"If-Match": added.headers["ETag"]}
        assert client.put(added.headers["Location"], json={"name": "Mine"}, headers=same).status_code == 200


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"cron": "61 * * * *"}, "cron"),
            ({"cron": "0 0 30 2 *"}, "cron"),
            ({"cron": "*/5 * * * *"}, "cron"),
            ({"timeZone": "Mars/Olympus"}, "timeZone"),
            ({"maxCredits": 1}, "maxCredits"),
            ({"enabled": "yes"}, "enabled"),
            ({"name": "n" * 201}, "name"),
            ({"nextRunAt": "2027-01-31T09:00:00Z"}, "nextRunAt"),
        ],
    )
    def test_an_invalid_field_is_named(self, client: FlaskClient, address: str, body: Any, field: str) -> None:
        assert fields_of(add(client, address, **body)) == [field]
        place = add(client, address).headers["Location"]
        assert fields_of(client.put(place, json=body)) == [field]

    @pytest.mark.parametrize(
        ("tier", "allowed", "refused"),
        [
            (Tier.FREE, "*/15 * * * *", "*/14 * * * *"),
            (Tier.PREMIUM, "*/5 * * * *", "*/4 * * * *"),
            (Tier.ENTERPRISE, "* * * * *", None),
        ],
    )
    def test_runs_too_close_for_the_tier_are(
        self, new_user: Callable[..., User], sign_in: Any, tier: Tier, allowed: str, refused: str | None
    ) -> None:
        client = sign_in(new_user("other-tier@example.com", tier=tier))
        address = f"{client.post('/workflows', json=workflow()).headers['Location']}/schedules"
        assert add(client, address, cron=allowed).status_code == 201
        if refused:
            assert "tier" in add(client, address, cron=refused).json["message"]

    def test_more_than_the_tier_allows_are(self, client: FlaskClient, address: str) -> None:
        for _ in range(3):
            assert add(client, address).status_code == 201
        answer = add(client, address)
        assert (answer.status_code, answer.json["code"]) == (409, "schedule_limit_reached")
        assert (answer.json["limit"], answer.json["current"]) == (3, 3)

    def test_more_than_one_workflow_may_have_are(
        self, new_user: Callable[..., User], sign_in: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schedules, "MAX_OF_WORKFLOW", 1)
        client = sign_in(new_user("rich@example.com", tier=Tier.PREMIUM))
        first, second = (client.post("/workflows", json=workflow()).headers["Location"] for _ in range(2))
        assert [add(client, f"{of}/schedules").status_code for of in (first, first, second)] == [201, 409, 201]


class TestPreview:
    def test_shows_the_meaning_and_the_next_five_times(self, client: FlaskClient) -> None:
        answer = client.post("/schedules/preview", json=DAILY)
        assert answer.json["description"] == "At 07:00 every day"
        times = [datetime.fromisoformat(time) for time in answer.json["times"]]
        assert len(times) == len(set(times)) == 5
        assert times == sorted(times)

    def test_refuses_what_could_not_be_saved(self, client: FlaskClient) -> None:
        assert fields_of(client.post("/schedules/preview", json=DAILY | {"cron": "* * * * *"})) == ["cron"]


class TestAccessKeys:
    @pytest.fixture
    def program(self, app: Any, client: FlaskClient) -> Callable[..., FlaskClient]:
        """Makes clients with a key of these scopes."""

        def made(*scopes: str) -> FlaskClient:
            key = client.post("/access-keys", json={"name": "Program", "scopes": list(scopes)}).json["key"]
            program: FlaskClient = app.test_client()
            program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
            return program

        return made

    def test_add_schedules_only_if_they_may_run_workflows(
        self, address: str, program: Callable[..., FlaskClient]
    ) -> None:
        refused = add(program("workflows:write"), address)
        assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
        assert add(program("executions:run"), address).status_code == 403
        assert add(program("workflows:write", "executions:run"), address).status_code == 201

    def test_read_them_as_they_read_workflows(
        self, client: FlaskClient, address: str, program: Callable[..., FlaskClient]
    ) -> None:
        place = add(client, address).headers["Location"]
        reader = program("workflows:read")
        assert [reader.get(path).status_code for path in (place, address, "/schedules")] == [200, 200, 200]
        assert reader.post("/schedules/preview", json=DAILY).status_code == 200
        assert program("executions:read").get(place).status_code == 403
