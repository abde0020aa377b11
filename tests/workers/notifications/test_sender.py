"""The outbox: every message is sent at least once and at most a few times, whatever dies or refuses in between."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import text

from models.db import session_scope
from models.services.notifications import notifications
from models.tables import Notification, NotificationKind, NotificationStatus, User
from simulators.mail.catcher import running_mail_catcher
from simulators.mail.caught import MailCatcher
from tests.support import factories
from workers.gateways.mail import MailGateway
from workers.gateways.push import PushGateway
from workers.notifications.sender import Sender
from workers.notifications.texts import compose

PURCHASE = NotificationKind.PURCHASE


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture
def sender(catcher: MailCatcher, committed_database: str) -> Sender:
    return sender_to(catcher)


def sender_to(catcher: MailCatcher) -> Sender:
    mail = MailGateway(catcher.smtp_url, "AgentForge <no-reply@agentforge.example>", seconds=2)
    return Sender(mail, PushGateway(catcher.url, seconds=2))


def told(*devices: str, kind: NotificationKind = PURCHASE, **payload: object) -> tuple[User, list[UUID]]:
    """A user with these phones, and the ids of the messages to them."""
    with session_scope() as session:
        user = factories.user(session, name="Ada")
        for device in devices:
            notifications.add_device(session, user.id, device)
        payload = payload or {"credits": "550.00", "amountCents": 3999}
        return user, list(notifications.add(session, user.id, kind, payload, key=f"test:{user.id}"))


def row(notification_id: UUID) -> Notification:
    with session_scope() as session:
        return session.get_one(Notification, notification_id)


def time_passes() -> None:
    """Let every wait pass, and run the sweep."""
    with session_scope() as session:
        session.execute(
            text("UPDATE notifications SET next_try_at = now() - interval '1 second' WHERE sent_at IS NULL")
        )
        notifications.due(session)


class TestSending:
    def test_a_mail_goes_out_with_its_words_and_is_done(self, sender, catcher):
        user, [message] = told()
        assert sender.send(message)
        [mail] = catcher.mails
        assert (mail.to, mail.subject) == ((user.email,), "550 credits are yours")
        assert "39.99 USD" in mail.text
        assert (row(message).status, row(message).attempts) == (NotificationStatus.SENT, 1)

    def test_enqueuing_again_sends_nothing_again(self, sender, catcher):
        _, [message] = told()
        with ThreadPoolExecutor(8) as pool:
            sent = list(pool.map(sender.send, [message] * 8))
        assert (sent.count(True), len(catcher.mails)) == (1, 1)

    def test_a_phone_gets_it_as_well(self, sender, catcher):
        _, messages = told("ExponentPushToken[ada]")
        assert [sender.send(message) for message in messages] == [True, True]
        [push] = catcher.pushes
        assert push["title"] == "550 credits are yours"
        assert "Hello" not in push["body"]
        assert push["data"]["kind"] == "purchase"

    def test_a_phone_that_is_gone_is_removed_and_the_other_one_notified(self, sender, catcher):
        user, messages = told("ExponentPushToken[gone]", "ExponentPushToken[ada]")
        assert all(sender.send(message) for message in messages)
        assert len(catcher.pushes) == 1
        with session_scope() as session:
            assert notifications.devices(session, user.id) == ["ExponentPushToken[ada]"]

    def test_without_a_phone_any_more_it_is_over(self, sender, catcher):
        _, [_, push] = told("ExponentPushToken[gone]")
        assert not sender.send(push)
        assert row(push).status is NotificationStatus.FAILED


class TestFailing:
    def test_a_server_that_is_away_is_tried_again_later(self, sender, catcher):
        _, [message] = told()
        catcher.failures.append("451 later")
        assert not sender.send(message)
        assert (row(message).status, row(message).error) == (
            NotificationStatus.PENDING,
            "mail_unavailable: The mail server answered 451.",
        )
        time_passes()
        assert sender.send(message)
        assert row(message).attempts == 2

    def test_what_is_refused_for_good_is_not_tried_again(self, sender, catcher):
        _, [message] = told()
        catcher.failures.append("554 spam")
        sender.send(message)
        time_passes()
        assert not sender.send(message)
        assert (row(message).status, row(message).attempts) == (NotificationStatus.FAILED, 1)

    def test_it_is_tried_a_few_times_and_no_more(self, sender, catcher):
        _, [message] = told()
        for _ in range(notifications.MAX_ATTEMPTS + 3):
            catcher.failures.append("hang up")  # after it took the mail: the worst case
            sender.send(message)
            time_passes()
        assert (row(message).status, len(catcher.mails)) == (NotificationStatus.FAILED, notifications.MAX_ATTEMPTS)
        assert len({mail.message["Message-ID"] for mail in catcher.mails}) == 1  # so a reader sees one mail

    def test_a_sender_that_died_is_followed_by_another(self, sender, catcher):
        _, [message] = told()
        with session_scope() as session:
            notifications.claim(session, message)  # and then it died
        assert not sender.send(message)  # it may be about to send
        time_passes()
        assert sender.send(message)
        assert row(message).attempts == 2

    def test_one_that_kills_every_sender_is_given_up_as_well(self, sender, catcher):
        _, [message] = told()
        for _ in range(notifications.MAX_ATTEMPTS):
            with session_scope() as session:
                assert notifications.claim(session, message) is not None  # and then it died
            time_passes()
        assert not sender.send(message)
        assert (row(message).status, catcher.mails) == (NotificationStatus.FAILED, [])

    def test_an_unreadable_payload_does_not_stop_the_others(self, sender, catcher):
        _, [broken] = told()
        _, [message] = told()
        with session_scope() as session:
            session.execute(text("UPDATE notifications SET payload = '[]' WHERE id = :id"), {"id": broken})
        assert not sender.send(broken)
        assert row(broken).status is NotificationStatus.PENDING
        assert sender.send(message)

    def test_money_does_not_wait_for_mail(self, sender, catcher):
        """The claim is committed before the server is spoken to: nothing is locked while it hangs."""
        _, [message] = told()
        catcher.failures.append("hang")
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(sender.send, message)
            while row(message).status is NotificationStatus.PENDING:
                pass
            with session_scope() as session:
                session.execute(text("SET LOCAL lock_timeout = '100ms'"))
                session.execute(text("SELECT * FROM notifications FOR UPDATE"))
                session.execute(text("SELECT * FROM users FOR UPDATE"))
            assert not sending.done()
            assert sending.result() is False


class TestWords:
    @pytest.mark.parametrize("kind", list(NotificationKind))
    def test_every_kind_says_something_even_without_a_payload(self, kind):
        message = compose(kind, {})
        assert message.subject
        assert "None" not in message.subject + message.body

    def test_names_of_users_and_workflows_stay_on_one_line(self):
        payload = {"workflowName": "Report\r\nBcc: eve@example.com" + "x" * 300, "status": "success"}
        message = compose(NotificationKind.RUN_FINISHED, payload, "Ada\nEve")
        assert len(max(message.body.splitlines(), key=len)) < 200
        assert message.body.startswith("Hello Ada Eve,")

    @pytest.mark.parametrize("kind", list(NotificationKind))
    def test_what_users_wrote_is_in_no_subject_and_becomes_no_link(self, kind):
        phish = "Your account is locked, go to https://evil.example/login or www.evil.example or evil\u3002example"
        names = ("workflowName", "message", "error", "reason", "templateName", "email", "date")
        message = compose(kind, dict.fromkeys(names, phish) | {"status": "failed"}, phish)
        assert "locked" not in message.subject
        for link in ("https://", "www.evil", "evil.example", "evil\u3002example"):
            assert link not in message.body

    def test_an_approvals_question_is_quoted_as_its_workflows(self):
        payload = {"workflowName": "Report", "message": "Pay ”the” bill at once"}
        body = compose(NotificationKind.APPROVAL_NEEDED, payload).body
        assert '“Report” asks: “Pay "the" bill at once”' in body

    @pytest.mark.parametrize(
        ("amount", "words"), [("5.50", "5.50 credits were added to"), ("-2.00", "2 credits were taken from")]
    )
    def test_an_adjustment_says_which_way_and_why(self, amount, words):
        payload = {"amount": amount, "balance": "12.00", "reason": "For the outage\n"}
        body = compose(NotificationKind.CREDITS_ADJUSTED, payload).body
        assert f"{words} your balance: For the outage" in body
        assert "It is 12 credits now." in body

    @pytest.mark.parametrize(("refusals", "words"), [(10, "a run 10 times in a row, so"), (1, "a run, so")])
    def test_a_schedule_that_was_switched_off_says_which_and_why(self, refusals, words):
        payload = {"workflowName": "Report", "name": "Morning", "reason": "No credits.", "refusals": refusals}
        body = compose(NotificationKind.SCHEDULE_STOPPED, payload).body
        assert f"The schedule “Morning” of “Report” could not start {words} it was switched off." in body
        assert "The last reason: No credits." in body

    def test_a_new_password_counts_the_access_keys_that_are_left(self):
        bodies = [compose(NotificationKind.PASSWORD_CHANGED, {"accessKeys": number}).body for number in (0, 1, 2)]
        assert "access key" not in bodies[0]
        assert ["One access key goes" in bodies[1], "2 access keys go" in bodies[2]] == [True, True]

    def test_amounts_are_written_plainly(self):
        body = compose(NotificationKind.LOW_BALANCE, {"available": "9.50"}).body
        assert "9.50 credits are left" in body
        assert "100 credits" in compose(PURCHASE, {"credits": "100.00"}).subject
