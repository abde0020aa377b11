"""Users choose which notifications they get, and mails can be stopped without signing in."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from models.services.accounts import account_access, deletions
from models.services.notifications import notifications, preferences
from models.tables import Channel, MutedTopic, Notification, NotificationKind, NotificationTopic, User
from models.vault import Vault
from settings import DEVELOPMENT_KEY

URL = "/api/notifications/preferences"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def shown(client, topic: str) -> dict:
    return next(one for one in client.get(URL).json["preferences"] if one["topic"] == topic)


def choose(client, topic: str, **channels: bool):
    return client.put(URL, json={"preferences": [{"topic": topic, **channels}]})


def mail(session, user, kind=NotificationKind.LOW_BALANCE, **payload) -> Notification:
    [message] = notifications.add(session, user.id, kind, payload, key=f"test:{uuid4()}", channels=[Channel.EMAIL])
    return session.get_one(Notification, message)


@pytest.fixture
def token(session, user) -> str:
    found = preferences.unsubscribe_token(session, mail(session, user))
    session.commit()
    assert found is not None
    return found


class TestChoosing:
    def test_everything_is_on_at_first(self, client):
        answer = client.get(URL).json
        assert {one["topic"] for one in answer["preferences"]} == {topic.value for topic in NotificationTopic}
        assert all(one["email"] and one["push"] for one in answer["preferences"])
        assert answer["devices"] == 0

    def test_the_number_of_phones_is_told(self, client):
        client.post("/api/devices", json={"token": "ExponentPushToken[abc]"})
        assert client.get(URL).json["devices"] == 1

    def test_a_channel_is_turned_off_and_on_again(self, client):
        answer = choose(client, "run_finished", email=False)
        assert answer.status_code == 200
        assert (shown(client, "run_finished")["email"], shown(client, "run_finished")["push"]) == (False, True)
        assert choose(client, "run_finished", email=False, push=False).status_code == 200
        choose(client, "run_finished", email=True)
        assert (shown(client, "run_finished")["email"], shown(client, "run_finished")["push"]) == (True, False)

    def test_counts_for_the_caller_only(self, client, sign_in, other):
        choose(client, "low_balance", email=False)
        assert shown(sign_in(other), "low_balance")["email"]

    @pytest.mark.parametrize(("topic", "channel"), [("security", "email"), ("security", "push"), ("purchase", "email")])
    def test_what_must_stay_on_says_why(self, client, session, topic, channel):
        answer = choose(client, topic, **{channel: False})
        assert (answer.status_code, answer.json["code"]) == (422, "notification_required")
        assert answer.json["errors"][0]["field"] == f"preferences.0.{channel}"
        assert shown(client, topic)["reason"] in answer.json["message"]
        assert channel in shown(client, topic)["required"]
        assert session.scalars(select(MutedTopic)).all() == []

    def test_nothing_changes_when_one_choice_is_refused(self, client):
        both = [{"topic": "low_balance", "email": False}, {"topic": "security", "email": False}]
        answer = client.put(URL, json={"preferences": both})
        assert answer.json["errors"][0]["field"] == "preferences.1.email"
        assert shown(client, "low_balance")["email"]

    def test_a_receipt_may_come_by_mail_alone(self, client):
        assert choose(client, "purchase", push=False).status_code == 200
        assert not shown(client, "purchase")["push"]

    @pytest.mark.parametrize("topic", [topic.value for topic in NotificationTopic])
    @pytest.mark.parametrize("channel", [channel.value for channel in Channel])
    def test_database_and_answer_agree_on_what_is_required(self, client, session, topic, channel):
        is_required = channel in shown(client, topic)["required"]
        assert choose(client, topic, **{channel: False}).status_code == (422 if is_required else 200)

    @pytest.mark.parametrize(
        "choice", [{"topic": "weather", "email": False}, {"email": False}, {"topic": "purchase", "email": "no"}]
    )
    def test_what_is_no_choice_is_refused(self, client, choice):
        assert client.put(URL, json={"preferences": [choice]}).status_code == 422

    def test_a_new_owner_of_an_unverified_address_starts_afresh(self, client, session, user):
        choose(client, "low_balance", email=False)
        account_access.clear(session, user.id)
        assert shown(client, "low_balance")["email"]


class TestUnsubscribing:
    def test_takes_a_mail_program_one_post_without_a_sign_in(self, stranger, client, token):
        answer = stranger.post(f"/api/unsubscribe?token={token}", data=ONE_CLICK)
        assert (answer.status_code, shown(client, "low_balance")["email"]) == (200, False)
        assert shown(client, "low_balance")["push"]
        assert shown(client, "run_failed")["email"]

    def test_works_as_multipart_and_again(self, stranger, client, token):
        for _ in range(2):
            form = {"data": ONE_CLICK, "content_type": "multipart/form-data"}
            assert stranger.post(f"/unsubscribe?token={token}", **form).status_code == 200
        assert not shown(client, "low_balance")["email"]

    def test_works_by_the_button_of_the_page(self, stranger, client, token):
        assert "not get mails" in stranger.post("/unsubscribe", json={"token": token}).json["message"]
        assert not shown(client, "low_balance")["email"]

    def test_opening_the_page_changes_nothing(self, stranger, client, token):
        page = stranger.get(f"/unsubscribe?token={token}")
        assert (page.status_code, page.mimetype) == (200, "text/html")
        assert shown(client, "low_balance")["email"]

    def test_a_token_is_good_for_its_topic_and_user_only(self, stranger, client, token, other):
        topic, owner, signature = token.split(".")
        forged = [
            f"run_failed.{owner}.{signature}",
            f"{topic}.{other.id.hex}.{signature}",
            f"{topic}.{UUID(int=0).hex}.{signature}",
            f"security.{owner}.{signature}",
            f"{topic}.{owner}.{signature[:-1]}",
            f"{topic}.{owner}.",
            f"{topic}.{owner}.\u00e9",
            "",
            "x",
        ]
        for wrong in forged:
            answer = stranger.post("/unsubscribe", query_string={"token": wrong}, data=ONE_CLICK)
            assert (answer.status_code, answer.json["code"]) == (422, "unsubscribe_link_invalid"), wrong
        assert shown(client, "low_balance")["email"]

    def test_the_link_of_a_deleted_account_is_void(self, stranger, client, session, token, user):
        choose(client, "run_failed", push=False)
        deletions.delete_account(session, session.get_one(User, user.id), vault=Vault(DEVELOPMENT_KEY))
        session.commit()
        answer = stranger.post(f"/unsubscribe?token={token}", data=ONE_CLICK)
        assert answer.status_code == 422
        assert session.scalars(select(MutedTopic).where(MutedTopic.user_id == user.id)).all() == []

    def test_mails_that_must_be_sent_have_no_link(self, session, user):
        required = (NotificationKind.PURCHASE, NotificationKind.TWO_FACTOR, NotificationKind.PASSWORD_CHANGED)
        assert [preferences.unsubscribe_token(session, mail(session, user, kind)) for kind in required] == [None] * 3
