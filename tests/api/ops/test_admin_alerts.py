"""Alerts about money: shown to administrators until one of them has closed them, which is written down."""

from datetime import timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from models.services.operations import alerts, audit
from models.tables import BillingAlert, Role, User


@pytest.fixture
def grace(new_user) -> User:
    return new_user("grace@example.com", role=Role.ADMIN)


@pytest.fixture
def administrator(grace: User, sign_in) -> FlaskClient:
    return sign_in(grace)


def raised(session: Session, key: str, **more) -> None:
    alerts.add(session, kind="paid_twice", subject=f"pi_{key}", detail=f"About {key}.", key=key, **more)
    session.commit()


def test_open_ones_are_listed_the_oldest_first(administrator: FlaskClient, session: Session, user: User) -> None:
    raised(session, "first", user_id=user.id)
    session.execute(update(BillingAlert).values(created_at=BillingAlert.created_at - timedelta(seconds=1)))
    raised(session, "second", data={"cents": 5})
    answer = administrator.get("/admin/alerts").json
    assert [(one["subject"], one["detail"], one["resolvedAt"]) for one in answer["alerts"]] == [
        ("pi_first", "About first.", None),
        ("pi_second", "About second.", None),
    ]
    assert (answer["alerts"][0]["userId"], answer["alerts"][1]["data"]) == (str(user.id), {"cents": 5})
    page = administrator.get("/admin/alerts?limit=1&offset=1").json
    assert [one["subject"] for one in page["alerts"]] == ["pi_second"]


def test_one_is_closed_once_and_the_audit_log_names_the_actor(
    administrator: FlaskClient, session: Session, grace: User, user: User
) -> None:
    raised(session, "first", user_id=user.id)
    [alert] = administrator.get("/admin/alerts").json["alerts"]
    answers = [administrator.post(f"/admin/alerts/{alert['id']}/resolve") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json["resolvedAt"] is not None
    assert answers[0].json == answers[1].json
    assert administrator.get("/admin/alerts").json["alerts"] == []
    [entry] = audit.entries(session, action="alert.resolved")
    assert (entry.actor_id, entry.subject_id) == (grace.id, user.id)
    assert entry.data == {"alert": alert["id"], "kind": "paid_twice"}


def test_one_that_is_not_there_is_a_404(administrator: FlaskClient) -> None:
    assert administrator.post(f"/admin/alerts/{uuid4()}/resolve").status_code == 404


def test_to_others_there_is_no_such_address(client: FlaskClient, session: Session) -> None:
    raised(session, "first")
    [alert] = alerts.list_open(session)
    assert client.get("/admin/alerts").status_code == 404
    assert client.post(f"/admin/alerts/{alert.id}/resolve").status_code == 404
    assert len(alerts.list_open(session)) == 1
