"""Reporting a published template, and what administrators do about it."""

import pytest
from sqlalchemy import func, select, text

from models.services.operations.pruning import prune
from models.services.workflows import template_reports
from models.tables import AuditEntry, Channel, Notification, NotificationKind, Role, Template, TemplateReport
from tasks.queue import TaskName
from tests.support.api.graphs import two_steps

OWN = {"name": "Buy my pills", "category": "data", "published": True, **two_steps()}
SPAM = {"reason": "It is an advertisement."}


@pytest.fixture
def address(client):
    """Where a published template of Ada's is."""
    return client.post("/templates", json=OWN).headers["Location"].removeprefix("/api")


@pytest.fixture
def eve(sign_in, other):
    return sign_in(other)


@pytest.fixture
def boss(sign_in, new_user):
    return sign_in(new_user("grace@example.com", role=Role.ADMIN))


def unpublish(boss, address, reason="No advertisements."):
    return boss.post(f"/admin{address}/unpublish", json={"reason": reason})


class TestReporting:
    def test_is_done_once_for_each_user_and_template(self, eve, address, session):
        for _ in range(2):
            assert eve.post(f"{address}/report", json=SPAM).status_code == 204
        assert eve.post(f"{address}/report", json={"reason": "Once more."}).status_code == 204
        assert session.scalars(select(TemplateReport.reason)).all() == [SPAM["reason"]]

    def test_of_ones_own_is_refused(self, client, address):
        answer = client.post(f"{address}/report", json=SPAM)
        assert (answer.status_code, answer.json["code"]) == (409, "own_template")

    def test_of_one_that_is_not_seen_finds_nothing(self, client, eve, address):
        client.put(address, json={"published": False})
        assert eve.post(f"{address}/report", json=SPAM).status_code == 404

    @pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": "x" * 501}, {"reason": "x", "outcome": "y"}])
    def test_says_why(self, eve, address, body):
        answer = eve.post(f"{address}/report", json=body)
        assert answer.status_code == 422
        assert {error["field"] for error in answer.json["errors"]} <= {"reason", "outcome"}

    def test_has_a_limit_of_its_own(self, client, eve, sign_in, new_user, monkeypatch):
        monkeypatch.setattr(template_reports, "MAX_PER_DAY", 2)
        places = [client.post("/templates", json=OWN).headers["Location"] for _ in range(3)]
        answers = [eve.post(f"{place}/report", json=SPAM) for place in places]
        assert [answer.status_code for answer in answers] == [204, 204, 429]
        assert answers[2].json["code"] == "rate_limited"
        assert int(answers[2].headers["Retry-After"]) > 80_000
        assert eve.post(f"{places[0]}/report", json=SPAM).status_code == 204
        assert sign_in(new_user("bob@example.com")).post(f"{places[2]}/report", json=SPAM).status_code == 204

    def test_goes_with_the_template_and_with_its_author(self, boss, client, eve, address, session):
        eve.post(f"{address}/report", json=SPAM)
        client.delete(address)
        assert boss.get("/admin/template-reports").json["reports"] == []
        assert unpublish(boss, address).status_code == 404
        session.execute(text("UPDATE templates SET deleted_at = deleted_at - interval '61 minutes'"))
        assert prune(session).templates == 1
        assert session.scalars(select(func.count()).select_from(TemplateReport)).one() == 0


class TestReports:
    def test_are_listed_open_and_closed(self, boss, eve, address, user, other):
        eve.post(f"{address}/report", json=SPAM)
        (shown,) = boss.get("/admin/template-reports?status=open").json["reports"]
        template_id = address.rpartition("/")[2]
        assert (shown["templateId"], shown["templateName"]) == (template_id, OWN["name"])
        assert (shown["templateOwnerId"], shown["userId"]) == (str(user.id), str(other.id))
        assert (shown["reason"], shown["status"], shown["outcome"]) == (SPAM["reason"], "open", None)
        assert boss.get("/admin/template-reports?status=closed").json["reports"] == []
        assert boss.get(f"/admin/template-reports?templateId={other.id}").json["reports"] == []

    def test_come_in_pages(self, boss, client, eve, sign_in, new_user):
        places = [client.post("/templates", json=OWN).headers["Location"] for _ in range(3)]
        for place in places:
            eve.post(f"{place}/report", json=SPAM)
        first = boss.get("/admin/template-reports?limit=2").json
        rest = boss.get(f"/admin/template-reports?limit=2&cursor={first['nextCursor']}").json
        listed = [row["templateId"] for row in first["reports"] + rest["reports"]]
        assert sorted(listed) == sorted(place.rpartition("/")[2] for place in places)

    def test_are_dismissed_once_and_leave_the_template_where_it_is(self, boss, eve, address, session):
        eve.post(f"{address}/report", json=SPAM)
        report_id = boss.get("/admin/template-reports").json["reports"][0]["id"]
        closed = boss.post(f"/admin/template-reports/{report_id}/dismiss").json["report"]
        assert (closed["status"], closed["outcome"], closed["published"]) == ("closed", "dismissed", True)
        again = boss.post(f"/admin/template-reports/{report_id}/dismiss")
        assert (again.status_code, again.json["code"]) == (409, "report_closed")
        entries = select(AuditEntry).where(AuditEntry.action == "template.report_dismissed")
        assert session.scalars(entries).one().data == {"reportId": report_id}
        assert eve.get(address).status_code == 200


class TestUnpublishing:
    def test_hides_it_closes_its_reports_and_notifies_its_owner(self, boss, client, eve, address, session, sent, user):
        eve.post(f"{address}/report", json=SPAM)
        answer = unpublish(boss, address)
        assert (answer.status_code, answer.json["template"]["published"]) == (200, False)
        assert eve.get(address).status_code == 404
        assert client.get(address).json["template"]["unpublishedAt"] is not None
        (report,) = boss.get("/admin/template-reports?status=closed").json["reports"]
        assert (report["outcome"], report["published"]) == ("unpublished", False)
        told = select(Notification).where(Notification.kind == NotificationKind.TEMPLATE_UNPUBLISHED)
        row = session.scalars(told.where(Notification.channel == Channel.EMAIL)).one()
        assert (row.user_id, row.payload["reason"]) == (user.id, "No advertisements.")
        mails = [message.ids for message in sent if message.task is TaskName.SEND_NOTIFICATION]
        assert mails == [{"notification_id": str(row.id)}]

    def test_is_written_into_the_audit_log(self, boss, address, session, user):
        unpublish(boss, address)
        row = session.scalars(select(AuditEntry).where(AuditEntry.action == "template.unpublished")).one()
        assert (row.subject_id, row.data["templateId"]) == (user.id, address.rpartition("/")[2])
        assert row.data["reason"] == "No advertisements."

    def test_is_for_good(self, boss, client, address):
        unpublish(boss, address)
        answer = client.put(address, json={"published": True})
        assert (answer.status_code, answer.json["code"]) == (403, "template_unpublished")
        assert client.put(address, json={"name": "Mine alone"}).status_code == 200

    def test_happens_once(self, boss, address):
        unpublish(boss, address)
        again = unpublish(boss, address)
        assert (again.status_code, again.json["code"]) == (409, "not_published")
        assert (
            boss.post("/admin/templates/00000000-0000-0000-0000-000000000000/unpublish", json=SPAM).status_code == 404
        )

    def test_notifies_no_owner_of_a_built_in_one(self, boss, session, sent):
        seeded = session.scalars(select(Template.id).where(Template.owner_id.is_(None)).limit(1)).one()
        assert unpublish(boss, f"/templates/{seeded}").status_code == 200
        assert session.scalars(select(Notification)).all() == []

    def test_is_for_administrators_only(self, client, address):
        assert unpublish(client, address).status_code == 404
