"""Phones that want push messages."""

import pytest

from models.services import notifications

TOKEN = "ExponentPushToken[abc-123_x]"


def test_a_phone_gets_the_messages_of_whoever_signed_in_last(session, client, sign_in, user, other):
    assert client.post("/api/devices", json={"token": TOKEN}).status_code == 204
    assert notifications.devices(session, user.id) == [TOKEN]
    sign_in(other).post("/api/devices", json={"token": TOKEN})
    assert (notifications.devices(session, user.id), notifications.devices(session, other.id)) == ([], [TOKEN])


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
