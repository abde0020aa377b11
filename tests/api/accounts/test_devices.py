"""Phones that want push messages."""

import pytest
from sqlalchemy import select

from models.services.notifications import notifications
from models.tables import Channel, Notification, NotificationKind

TOKEN = "ExponentPushToken[abc-123_x]"


def test_a_phone_gets_the_messages_of_its_latest_user(session, client, sign_in, user, other):
    assert client.post("/api/devices", json={"token": TOKEN}).status_code == 204
    assert notifications.devices(session, user.id) == [TOKEN]
    sign_in(other).post("/api/devices", json={"token": TOKEN})
    assert (notifications.devices(session, user.id), notifications.devices(session, other.id)) == ([], [TOKEN])


def test_the_previous_user_of_a_phone_is_notified_by_mail(session, client, sign_in, user, other):
    for _ in range(2):
        client.post("/api/devices", json={"token": TOKEN})
    assert session.scalars(select(Notification)).all() == []
    sign_in(other).post("/api/devices", json={"token": TOKEN})
    told = session.scalars(select(Notification)).one()
    assert (told.user_id, told.kind, told.channel) == (user.id, NotificationKind.DEVICE_TAKEN, Channel.EMAIL)


def test_a_phone_is_forgotten_by_its_owner_only(session, client, sign_in, user, other):
    client.post("/api/devices", json={"token": TOKEN})
    assert sign_in(other).post("/api/devices/remove", json={"token": TOKEN}).status_code == 204
    assert notifications.devices(session, user.id) == [TOKEN]
    client.post("/api/devices/remove", json={"token": TOKEN})
    assert notifications.devices(session, user.id) == []


@pytest.mark.parametrize(
    "body", [{}, {"token": "abc"}, {"token": "ExponentPushToken[]"}, {"token": TOKEN, "userId": 1}]
)
def test_what_is_no_address_of_a_phone_is_refused(client, body):
    answer = client.post("/api/devices", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"]
