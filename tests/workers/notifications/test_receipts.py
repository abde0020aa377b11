"""Receipts of accepted pushes are fetched in batches, and devices that are gone are removed."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from models.db import session_scope
from models.services.notifications import notifications, push_receipts
from models.tables import PushDevice, PushTicket
from simulators.mail.catcher import running_mail_catcher
from simulators.mail.caught import MailCatcher
from tests.support import factories
from tests.workers.notifications.test_sender import sender_to, told
from workers.gateways.base import CallFailed
from workers.gateways.push import PushGateway
from workers.notifications import receipts

ADA, REMOVED = "ExponentPushToken[ada]", "ExponentPushToken[removed]"


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture(autouse=True)
def _database(committed_database: str) -> None:
    """One of this test's own."""


def push_to(catcher: MailCatcher, *devices: str) -> None:
    """Tell a user with these phones something, by push."""
    _, messages = told(*devices)
    assert {sender_to(catcher).send(message) for message in messages} == {True}


def pass_minutes(minutes: int) -> None:
    with session_scope() as session:
        session.execute(
            text(
                "UPDATE push_tickets SET due_at = due_at - make_interval(mins => :n),"
                " created_at = created_at - make_interval(mins => :n)"
            ),
            {"n": minutes},
        )


def tickets() -> list[str]:
    with session_scope() as session:
        return list(session.scalars(select(PushTicket.token)))


def devices() -> set[str]:
    with session_scope() as session:
        return set(session.scalars(select(PushDevice.token)))


def failures() -> dict[str, int]:
    with session_scope() as session:
        return push_receipts.counts(session)


def collect(catcher: MailCatcher) -> int:
    return receipts.collect(PushGateway(catcher.url, seconds=2))


def test_are_asked_for_after_a_quarter_of_an_hour_and_once(catcher):
    push_to(catcher, ADA)
    pass_minutes(14)
    assert (collect(catcher), tickets()) == (0, [ADA])
    pass_minutes(1)
    assert (collect(catcher), tickets()) == (1, [])
    assert (collect(catcher), devices(), failures()) == (0, {ADA}, {})


def test_of_a_device_that_is_gone_remove_it(catcher):
    push_to(catcher, ADA, REMOVED)
    pass_minutes(15)
    assert collect(catcher) == 2
    assert (devices(), tickets(), failures()) == ({ADA}, [], {"DeviceNotRegistered": 1})


def test_of_other_errors_are_counted_and_the_device_stays(catcher):
    other = "ExponentPushToken[uncertified]"
    push_to(catcher, other)
    pass_minutes(15)
    collect(catcher)
    assert (devices(), tickets(), failures()) == ({other}, [], {"InvalidCredentials": 1})


def test_that_are_not_there_yet_are_asked_for_again_for_a_day(catcher):
    push_to(catcher, ADA)
    catcher.tickets.clear()
    pass_minutes(15)
    assert (collect(catcher), collect(catcher), tickets()) == (1, 0, [ADA])
    pass_minutes(15)
    assert collect(catcher) == 1
    pass_minutes(24 * 60)
    assert (collect(catcher), tickets(), failures()) == (0, [], {"no_receipt": 1})


def test_wait_for_an_expo_that_is_away(catcher):
    push_to(catcher, ADA)
    pass_minutes(15)
    with running_mail_catcher() as gone:
        pass
    assert (collect(gone), tickets()) == (1, [ADA])
    pass_minutes(15)
    assert (collect(catcher), tickets()) == (1, [])


def test_of_many_are_asked_for_a_thousand_at_a_time(catcher):
    with session_scope() as session:
        notifications.add_device(session, factories.user(session).id, ADA)
        for number in range(1_100):
            push_receipts.expect(session, f"ticket-{number}", ADA)
    catcher.tickets.update({f"ticket-{number}": ADA for number in range(1_100)})
    pass_minutes(15)
    assert [collect(catcher) for _ in range(3)] == [1000, 100, 0]
    assert tickets() == []


def test_go_with_their_device(catcher):
    push_to(catcher, ADA)
    with session_scope() as session:
        notifications.remove_device(session, ADA)
        push_receipts.expect(session, "late", ADA)  # the answer came after the device had gone
    assert tickets() == []


@pytest.mark.parametrize("answer", ["[]", '{"data": []}', "no json"])
def test_that_are_unreadable_are_fetched_again(catcher, monkeypatch, answer):
    monkeypatch.setattr(
        "simulators.mail.page._MailPageHandler._receipts", lambda page, _: page._send(200, answer.encode(), "x")
    )
    with pytest.raises(CallFailed) as caught:
        PushGateway(catcher.url).receipts(["one"])
    assert caught.value.retryable
