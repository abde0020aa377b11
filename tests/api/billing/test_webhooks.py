"""Stripe's webhook: proved on its raw bytes, stored once, acknowledged; everything else is a 400 or comes again."""

import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import stripe
from sqlalchemy import func, select

from api import create_app
from models.db import SessionFactory, connect
from models.tables import EventStatus, StripeEvent
from tasks.queue import TaskName

PATHS = ("/webhooks/stripe", "/api/webhooks/stripe", "/v1/webhooks/stripe")
EVENT = {
    "id": "evt_1",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1_790_000_000,
    "data": {"object": {"id": "pi_1", "object": "payment_intent", "description": "Grüße"}},
    "livemode": False,
    "pending_webhooks": 1,
    "request": {"id": None, "idempotency_key": None},
    "type": "payment_intent.succeeded",
}
SECRET = "whsec_development"


def raw(**fields: Any) -> bytes:
    return json.dumps(EVENT | fields, indent=2, ensure_ascii=False).encode()


def signature(body: bytes, secret: str = SECRET, late: float = 0) -> str:
    """The header that Stripe's own library makes, so many seconds ago."""
    payload = body.decode(errors="surrogateescape")
    return stripe.WebhookSignature.generate_signature_header(payload, secret, int(time.time() - late))


@pytest.fixture
def post(stranger):
    """Send a body as Stripe does, signed by default."""

    def send(body: bytes, header: str | None = None, path: str = PATHS[0], client=stranger):
        headers = {"Stripe-Signature": signature(body) if header is None else header}
        return client.post(path, data=body, headers=headers, content_type="application/json; charset=utf-8")

    return send


class TestReceiving:
    @pytest.mark.parametrize("path", PATHS)
    def test_keeps_the_bytes_and_enqueues_a_task(self, post, session, sent, path):
        answer = post(raw(), path=path)
        assert (answer.status_code, answer.json) == (200, {"received": True})
        row = session.get_one(StripeEvent, "evt_1")
        assert (row.raw, row.type, row.api_version) == (raw(), EVENT["type"], EVENT["api_version"])
        assert (int(row.created.timestamp()), row.livemode, row.status) == (EVENT["created"], False, "received")
        assert [(message.task, message.ids) for message in sent] == [
            (TaskName.HANDLE_STRIPE_EVENT, {"event_id": "evt_1"})
        ]

    def test_of_a_repeat_is_the_same_and_enqueues_nothing(self, post, session, sent):
        assert [post(raw()).status_code for _ in range(3)] == [200] * 3
        assert len(sent) == 1
        assert session.scalar(select(func.count()).select_from(StripeEvent)) == 1

    def test_of_a_type_that_changes_nothing_here_is_kept_and_ignored(self, post, session, sent):
        assert post(raw(type="balance.available")).status_code == 200
        assert session.get_one(StripeEvent, "evt_1").status is EventStatus.IGNORED
        assert sent == []

    def test_does_not_mind_another_version_of_the_api_or_fields_that_are_new(self, post, session):
        assert post(raw(api_version="2031-01-01.zinnia", context={"new": True})).status_code == 200
        assert post(raw(id="evt_2", api_version=None)).status_code == 200

    def test_asks_for_no_token_and_minds_none(self, post, stranger):
        stranger.environ_base["HTTP_AUTHORIZATION"] = "Bearer nonsense"
        assert post(raw()).status_code == 200

    def test_is_never_counted(self, post):
        answers = [post(raw(id=f"evt_{number}")) for number in range(120)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit-Limit" not in answers[-1].headers

    def test_of_many_at_once_stores_one(self, app, committed_database, redis_url, sent):
        def send(_: int) -> int:
            headers = {"Stripe-Signature": signature(raw())}
            return app.test_client().post(PATHS[0], data=raw(), headers=headers).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(send, range(24))) == {200}
        assert len(sent) == 1


class TestTheSignature:
    @pytest.mark.parametrize("late", [301, -301, 86_400 * 11, -86_400 * 11])
    def test_of_another_time_is_refused_in_both_directions(self, post, session, late):
        answer = post(raw(), signature(raw(), late=late))
        assert (answer.status_code, answer.json["code"]) == (400, "bad_signature")
        assert session.get(StripeEvent, "evt_1") is None

    @pytest.mark.parametrize("late", [290, -290])
    def test_of_a_clock_that_is_a_little_off_is_fine(self, post, late):
        assert post(raw(), signature(raw(), late=late)).status_code == 200

    @pytest.mark.parametrize("header", ["", "t=1", "v1=ab", "nonsense", "t=1,v1=" + "0" * 64, "t=x,v1=y", "," * 5000])
    def test_that_is_none_is_refused(self, post, sent, header):
        answer = post(raw(), header)
        assert (answer.status_code, answer.json["code"]) == (400, "bad_signature")
        assert sent == []

    def test_that_is_missing_is_refused(self, stranger):
        assert stranger.post(PATHS[0], data=raw()).json["code"] == "bad_signature"

    def test_with_another_secret_is_refused(self, post):
        assert post(raw(), signature(raw(), "whsec_other")).status_code == 400

    def test_of_the_same_json_written_another_way_is_refused(self, post):
        assert post(json.dumps(EVENT).encode(), signature(raw())).status_code == 400

    def test_of_a_body_that_was_changed_is_refused(self, post):
        assert post(raw(type="charge.refunded"), signature(raw())).status_code == 400

    def test_counts_with_either_secret_while_one_is_rolled(self, post, settings, stranger):
        rolled = replace(settings, stripe=replace(settings.stripe, webhook_secrets=("whsec_new", SECRET)))
        client = create_app(rolled).test_client()
        for secret in ("whsec_new", SECRET):
            assert post(raw(), signature(raw(), secret), client=client).status_code == 200

    def test_cannot_be_made_with_no_secret_at_all(self, post, settings, stranger):
        for secrets in ((), ("",), ("  ",)):
            without = replace(settings, stripe=replace(settings.stripe, webhook_secrets=secrets))
            answer = post(raw(), signature(raw()), client=create_app(without).test_client())
            assert answer.status_code == 400


class TestEventsThatAreNone:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not json",
            b'{"id": "evt_1"',
            b"\xff\xfe",
            b'{"id": "\xff"}',
            b"[]",
            b"null",
            b"{}",
            b"[" * 10_000,
            raw(object="v2.core.event", data={}, related_object={"id": "acct_1"}),
            raw(data=None),
            raw(data={}),
            raw(data={"object": "pi_1"}),
            raw(id=None),
            raw(id="a\x00b"),
            raw(id="x" * 256),
            raw(type=7),
            raw(type="t" * 101),
            raw(created="yesterday"),
            raw(created=10**18),
            raw(livemode="no"),
            raw(api_version=["2026"]),
        ],
    )
    def test_are_refused_though_signed(self, post, session, sent, body):
        answer = post(body, _sign_bytes(body))
        assert (answer.status_code, answer.json["code"]) == (400, "bad_event")
        assert session.scalar(select(func.count()).select_from(StripeEvent)) == 0
        assert sent == []

    def test_of_the_other_mode_are_refused(self, post, settings, stranger):
        answer = post(raw(livemode=True))
        assert (answer.status_code, answer.json["code"]) == (400, "livemode_mismatch")
        live = replace(settings, stripe=replace(settings.stripe, livemode=True))
        client = create_app(live).test_client()
        assert post(raw(), client=client).json["code"] == "livemode_mismatch"
        assert post(raw(livemode=True), client=client).status_code == 200

    def test_of_more_than_a_mebibyte_are_not_even_read(self, post, session):
        body = raw(data={"object": {"filler": "x" * 2**20}})
        assert post(body).status_code == 413
        assert session.get(StripeEvent, "evt_1") is None


def test_comes_again_when_the_database_is_away(app, redis_url, sent):
    connect("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        answer = app.test_client().post(PATHS[0], data=raw(), headers={"Stripe-Signature": signature(raw())})
    finally:
        SessionFactory.configure(bind=None)
    assert (answer.status_code, answer.json["code"]) == (503, "temporarily_unavailable")
    assert sent == []


def _sign_bytes(body: bytes) -> str:
    """Stripe's library signs text; this signs what is no text too."""
    now = int(time.time())
    return f"t={now},v1={hmac.new(SECRET.encode(), b'%d.' % now + body, hashlib.sha256).hexdigest()}"
