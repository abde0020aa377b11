"""Notifications are written once, with their cause, and sent at least once and at most a few times."""

from collections import Counter
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.credits import ledger
from models.services.notifications import notifications
from models.services.operations import alerts
from models.tables import Channel, Notification, NotificationKind, NotificationStatus
from tests.support import factories
from tests.support.database.concurrency import at_once
from tests.support.factories import billing

KIND = NotificationKind.APPROVAL_NEEDED


def told(session: Session) -> list[Notification]:
    return list(session.scalars(select(Notification).execution_options(populate_existing=True)))


def later(session: Session, seconds: float) -> None:
    """Let time pass."""
    moved = "UPDATE notifications SET next_try_at = next_try_at - make_interval(secs => :seconds)"
    session.execute(text(moved), {"seconds": seconds})


class TestTelling:
    def test_happens_once_per_key(self, session: Session) -> None:
        user = factories.user(session)
        assert len(notifications.add(session, user.id, KIND, {"a": 1}, key="k")) == 1
        assert notifications.add(session, user.id, KIND, {"a": 2}, key="k") == []
        assert [row.payload for row in told(session)] == [{"a": 1}]

    def test_goes_to_the_phone_too_when_there_is_one(self, session: Session) -> None:
        user = factories.user(session)
        notifications.add_device(session, user.id, "ExponentPushToken[1]")
        notifications.add(session, user.id, KIND, {}, key="k")
        assert {row.channel for row in told(session)} == {Channel.EMAIL, Channel.PUSH}

    def test_goes_to_a_phone_for_its_last_owner_alone(self, session: Session) -> None:
        first, second = factories.user(session), factories.user(session)
        for user in (first, second, second):
            notifications.add_device(session, user.id, "token")
        assert (notifications.devices(session, first.id), notifications.devices(session, second.id)) == ([], ["token"])
        notifications.remove_device(session, "token")
        assert notifications.devices(session, second.id) == []

    def test_of_a_low_balance_happens_once_after_each_credit(self, session: Session) -> None:
        user = factories.user(session, credits=4)
        assert len(notifications.low_balance(session, user.id)) == 1
        assert notifications.low_balance(session, user.id) == []
        billing.purchase(session, billing.customer(session, user), paid=True)
        assert notifications.low_balance(session, user.id) == []
        run = factories.execution(session, factories.workflow(session, user), cap=100)
        ledger.settle(session, run.id, run.credits_cap)
        assert len(notifications.low_balance(session, user.id)) == 1
        assert notifications.low_balance(session, user.id) == []

    def test_is_undone_with_its_effect(self, session: Session) -> None:
        user = factories.user(session)
        with session.begin_nested() as effect:
            notifications.add(session, user.id, KIND, {}, key="k")
            effect.rollback()
        assert told(session) == []


class TestSending:
    def test_ends_with_success(self, session: Session) -> None:
        [message] = notifications.add(session, factories.user(session).id, KIND, {}, key="k")
        claimed = notifications.claim(session, message)
        assert claimed is not None
        assert claimed.attempts == 1
        assert notifications.claim(session, message) is None
        notifications.sent(session, message)
        later(session, 10**6)
        assert notifications.due(session) == []
        assert told(session)[0].status is NotificationStatus.SENT

    def test_is_tried_again_a_few_times_with_growing_waits(self, session: Session) -> None:
        [message] = notifications.add(session, factories.user(session).id, KIND, {}, key="k")
        for attempt in range(notifications.MAX_ATTEMPTS):
            assert notifications.claim(session, message) is not None
            notifications.failed(session, message, "The server is away.")
            later(session, 60 * 2**attempt - 5)
            assert notifications.due(session) == []
            later(session, 10)
            assert len(notifications.due(session)) == (attempt < notifications.MAX_ATTEMPTS - 1)
        assert told(session)[0].status is NotificationStatus.FAILED
        assert told(session)[0].error == "The server is away."

    def test_that_cannot_work_is_not_repeated(self, session: Session) -> None:
        [message] = notifications.add(session, factories.user(session).id, KIND, {}, key="k")
        notifications.claim(session, message)
        notifications.failed(session, message, "No such address.", for_good=True)
        assert notifications.claim(session, message) is None

    def test_by_senders_who_die_ends_after_a_few_times_as_well(self, session: Session) -> None:
        [message] = notifications.add(session, factories.user(session).id, KIND, {}, key="k")
        for _ in range(notifications.MAX_ATTEMPTS):
            assert notifications.claim(session, message) is not None
            later(session, 10**4)
            assert notifications.due(session) == [message]
        assert notifications.claim(session, message) is None
        assert told(session)[0].status is NotificationStatus.FAILED

    def test_of_what_has_no_message_is_enqueued_once_in_a_while(self, session: Session) -> None:
        [message] = notifications.add(session, factories.user(session).id, KIND, {}, key="k")
        assert notifications.due(session) == [message]
        assert notifications.due(session) == []
        later(session, 61)
        assert notifications.due(session) == [message]


@pytest.mark.usefixtures("committed_database")
class TestConcurrently:
    def test_a_message_is_claimed_by_one(self) -> None:
        with session_scope() as session:
            [message] = notifications.add(session, factories.user(session).id, KIND, {}, key="k")

        def claim(_: int) -> bool:
            with session_scope() as session:
                return notifications.claim(session, message) is not None

        assert Counter(at_once(16, claim)) == {True: 1, False: 15}

    def test_one_key_is_notified_once(self) -> None:
        with session_scope() as session:
            user_id = factories.user(session).id

        def tell(_: int) -> int:
            with session_scope() as session:
                return len(notifications.add(session, user_id, KIND, {}, key="k"))

        assert sum(at_once(16, tell)) == 1


def test_an_alert_is_raised_once_and_open_until_resolved(session: Session) -> None:
    asked = {"kind": "odd", "subject": "pi_1", "detail": "It is odd.", "key": "k"}
    assert alerts.add(session, **asked)
    assert not alerts.add(session, **asked)
    [alert] = alerts.list_open(session)
    alerts.resolve(session, alert.id)
    assert (alerts.count_open(session), list(alerts.list_open(session))) == (0, [])
    assert not alerts.add(session, **asked)
    with pytest.raises(alerts.NotFound):
        alerts.resolve(session, factories.user(session).id)


def test_one_whose_account_is_deleted_while_it_is_sent_is_no_error(session):
    gone = uuid4()
    notifications.sent(session, gone)
    notifications.failed(session, gone, "away")
    assert session.get(Notification, gone) is None
