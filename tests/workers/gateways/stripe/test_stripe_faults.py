import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest

from tests.support.servers.raw_server import RawServer, Serve, answer, raw_server, silence
from workers.gateways.stripe import client
from workers.gateways.stripe.errors import (
    StripeBroken,
    StripeBusy,
    StripeDeclined,
    StripeFailed,
    StripeForbidden,
    StripeKeyReused,
    StripeMisconfigured,
    StripeRateLimited,
    StripeRefused,
    StripeUnknown,
)
from workers.gateways.stripe.gateway import StripeGateway

KEY = "sk_test_a_secret_that_nobody_may_see"
INTENT = {"id": "pi_1", "object": "payment_intent", "client_secret": "pi_1_secret_x", "metadata": {"a": "b"}}


def says(status: str, body: object, **headers: str) -> bytes:
    return answer(json.dumps(body).encode(), status=status, Content_Type="application/json", **headers)


def error(status: str, **fields: object) -> bytes:
    return says(status, {"error": {"message": f"said with {KEY}", **fields}}, Request_Id="req_7")


@contextmanager
def stripe_that(
    *script: bytes | Serve, retries: int = 0, timeout: float = 5.0
) -> Iterator[tuple[StripeGateway, RawServer]]:
    with raw_server(*script) as server:
        yield StripeGateway(KEY, server.url(""), retries=retries, timeout=timeout), server


def failure(*script: bytes | Serve, timeout: float = 5.0) -> StripeFailed:
    """The error that one call raises."""
    with stripe_that(*script, timeout=timeout) as (gateway, _), pytest.raises(StripeFailed) as raised:
        gateway.create_payment(
            customer="cus_1",
            amount=999,
            currency="usd",
            payment_method=None,
            description="d",
            metadata={},
            key="purchase-1-a1",
        )
    return raised.value


def keys(server: RawServer) -> list[str]:
    """The idempotency keys of the requests, in their order."""
    lines = [line for request in server.requests for line in request.decode().split("\r\n")]
    return [line.partition(":")[2].strip() for line in lines if line.lower().startswith("idempotency-key:")]


def queries(server: RawServer) -> list[dict[str, list[str]]]:
    return [parse_qs(request.split(b" ")[1].decode().partition("?")[2]) for request in server.requests]


@pytest.fixture
def impatient(monkeypatch):
    """Pauses of ours as short as they can be."""
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


class TestAnswers:
    def test_objects_come_as_values_that_json_can_hold(self):
        with stripe_that(says("200 OK", INTENT)) as (gateway, _):
            found = gateway.payment("pi_1")
        assert type(found) is dict
        assert type(found["metadata"]) is dict
        assert json.loads(json.dumps(found)) == INTENT

    def test_what_makes_something_carries_our_key_and_our_ids_in_its_metadata(self):
        with stripe_that(says("200 OK", INTENT)) as (gateway, server):
            gateway.create_payment(
                customer="cus_1",
                amount=999,
                currency="usd",
                payment_method="pm_1",
                description="100 credits",
                metadata={"agentforge_purchase": "7"},
                key="purchase-7-a1",
            )
        body = parse_qs(server.requests[0].rpartition(b"\r\n\r\n")[2].decode())
        assert keys(server) == ["purchase-7-a1"]
        assert body["metadata[agentforge_purchase]"] == ["7"]
        assert body["confirm"] == ["true"]
        assert body["amount"] == ["999"]


class TestErrors:
    def test_a_declined_card_has_a_sentence_for_its_owner_and_keeps_the_intent(self):
        failed = failure(
            says(
                "402 Payment Required",
                {
                    "error": {
                        "type": "card_error",
                        "code": "card_declined",
                        "decline_code": "insufficient_funds",
                        "message": "Your card has insufficient funds.",
                        "payment_intent": INTENT,
                    }
                },
            )
        )
        assert isinstance(failed, StripeDeclined)
        assert (failed.code, failed.decline_code) == ("card_declined", "insufficient_funds")
        assert failed.detail == "Your card has insufficient funds."
        assert failed.payment_intent == INTENT
        assert not failed.retryable

    @pytest.mark.parametrize(
        ("status", "fields", "kind", "retryable", "outcome"),
        [
            ("401 Unauthorized", {}, StripeMisconfigured, False, "failed"),
            ("403 Forbidden", {}, StripeForbidden, False, "failed"),
            ("400 Bad Request", {"code": "parameter_missing", "param": "x"}, StripeRefused, False, "failed"),
            ("404 Not Found", {"code": "resource_missing", "param": "id"}, StripeRefused, False, "failed"),
            ("400 Bad Request", {"type": "idempotency_error"}, StripeKeyReused, False, "unknown"),
            ("409 Conflict", {"type": "idempotency_error"}, StripeBusy, True, "unknown"),
            ("500 Internal Server Error", {"type": "api_error"}, StripeBroken, True, "unknown"),
            ("503 Service Unavailable", {"type": "api_error"}, StripeUnknown, True, "unknown"),
        ],
    )
    def test_each_answer_says_what_to_do_next(self, status, fields, kind, retryable, outcome):
        failed = failure(error(status, **fields))
        assert type(failed) is kind
        assert (failed.retryable, failed.outcome, failed.request_id) == (retryable, outcome, "req_7")

    @pytest.mark.parametrize("status", ["401 Unauthorized", "400 Bad Request", "500 Internal Server Error"])
    def test_errors_contain_no_secret(self, status):
        assert KEY not in str(failure(error(status)))
        assert KEY not in failure(error("401 Unauthorized")).reason

    def test_a_missing_object_is_recognised(self):
        failed = failure(error("400 Bad Request", code="resource_missing", param="customer"))
        assert isinstance(failed, StripeRefused)

    def test_a_proxy_that_answers_no_json_leaves_open_what_happened(self):
        assert isinstance(failure(answer(b"<html>", status="502 Bad Gateway")), StripeUnknown)

    def test_a_lost_connection_or_silence_leaves_open_what_happened(self):
        for step in (lambda sock: None, silence):
            failed = failure(step, timeout=0.2)
            assert isinstance(failed, StripeUnknown)
            assert (failed.retryable, failed.outcome) == (True, "unknown")


class TestRepeats:
    def test_a_lost_answer_is_asked_for_again_under_the_same_key(self):
        with stripe_that(lambda sock: None, says("200 OK", INTENT), retries=1) as (gateway, server):
            made = gateway.create_payment(
                customer="c",
                amount=1,
                currency="usd",
                payment_method=None,
                description="d",
                metadata={},
                key="purchase-1-a1",
            )
        assert made["id"] == "pi_1"
        assert keys(server) == ["purchase-1-a1"] * 2

    def test_too_many_requests_are_repeated_for_a_while(self, impatient):
        with stripe_that(*[error("429 Too Many Requests")] * 2, says("200 OK", INTENT)) as (gateway, server):
            assert gateway.payment("pi_1")["id"] == "pi_1"
        assert len(server.requests) == 3

    def test_stripes_retry_after_is_respected_and_a_long_one_blocks_no_thread(self, impatient):
        with (
            stripe_that(says("429 Too Many", {"error": {}}, Retry_After="60")) as (
                gateway,
                server,
            ),
            pytest.raises(StripeRateLimited) as raised,
        ):
            gateway.payment("pi_1")
        assert raised.value.retry_after == 60
        assert raised.value.retryable
        assert len(server.requests) == 1

    def test_the_retry_budget_ends(self, impatient, monkeypatch):
        monkeypatch.setattr(client, "RETRY_BUDGET_SECONDS", 0.1)
        with stripe_that(error("429 Too Many Requests")) as (gateway, server), pytest.raises(StripeRateLimited):
            gateway.payment("pi_1")
        assert 2 <= len(server.requests) <= 8


class TestLists:
    def test_all_pages_are_read_and_a_page_that_was_refused_is_asked_for_again(self, impatient):
        pages = [
            says("200 OK", {"object": "list", "data": [{"id": "evt_3"}, {"id": "evt_2"}], "has_more": True}),
            error("429 Too Many Requests"),
            says("200 OK", {"object": "list", "data": [{"id": "evt_1"}], "has_more": False}),
        ]
        with stripe_that(*pages) as (gateway, server):
            found = [event["id"] for event in gateway.events(created=5)]
        assert found == ["evt_3", "evt_2", "evt_1"]
        assert [query.get("starting_after") for query in queries(server)] == [None, ["evt_2"], ["evt_2"]]
        assert all(query["created[gte]"] == ["5"] for query in queries(server))

    def test_more_types_than_stripe_takes_at_once_are_asked_for_in_turns(self):
        nothing = says("200 OK", {"object": "list", "data": [], "has_more": False})
        with stripe_that(nothing) as (gateway, server):
            assert list(gateway.events(types=[f"type_{number}" for number in range(25)])) == []
        assert [sum(name.startswith("types") for name in query) for query in queries(server)] == [20, 5]


class TestSecrets:
    def test_the_sdk_logs_no_answers_even_when_all_is_logged(self, caplog):
        with caplog.at_level(logging.DEBUG), stripe_that(says("200 OK", INTENT)) as (gateway, _):
            gateway.payment("pi_1")
        assert "secret" not in caplog.text
