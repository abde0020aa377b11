"""Lists, expansion, keys and controls of the Stripe simulator, as the real library sees them."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import stripe

from tests.support.stripe.stripe_calls import HERE, client_of, pay


class TestLists:
    def test_pages_reach_every_object_once_in_both_directions(self, client):
        made = [client.v1.customers.create({"name": str(number)}).id for number in range(205)]
        assert [one.id for one in client.v1.customers.list({"limit": 100}).auto_paging_iter()] == made[::-1]
        after_first = client.v1.customers.list({"limit": 100, "ending_before": made[0]})
        assert [one.id for one in after_first.auto_paging_iter()] == made[1:]
        page = client.v1.customers.list({"limit": 3, "starting_after": made[3]})
        assert ([one.id for one in page.data], page.has_more) == (made[2::-1], False)

    def test_lists_filter_by_time(self, simulator, client):
        old = client.v1.customers.create({"name": "old"})
        border = simulator.advance_clock(days=1)
        new = client.v1.customers.create({"name": "new"})
        assert [one.id for one in client.v1.customers.list({"created": {"gte": border}}).data] == [new.id]
        assert [one.id for one in client.v1.customers.list({"created": {"lt": border}}).data] == [old.id]

    def test_events_are_kept_for_thirty_days_and_filtered_by_type(self, simulator, client):
        pay(client)
        wanted = ["charge.succeeded", "payment_intent.succeeded"]
        assert [event.type for event in client.v1.events.list({"types": wanted}).data] == wanted[::-1]
        assert {event.type for event in client.v1.events.list({"type": "payment_intent.*"}).data} == {
            "payment_intent.created",
            "payment_intent.succeeded",
        }
        simulator.advance_clock(days=31)
        assert client.v1.events.list().data == []

    def test_pages_are_bounded_and_cursors_must_exist(self, client):
        for params in ({"limit": 101}, {"limit": 0}, {"starting_after": "cus_nobody"}):
            with pytest.raises(stripe.InvalidRequestError):
                client.v1.customers.list(params)

    def test_what_cannot_be_expanded_is_refused(self, client):
        intent = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            client.v1.payment_intents.retrieve(intent.id, {"expand": ["invoice"]})


class TestMounts:
    def test_a_wrong_key_is_refused_without_being_shown(self, simulator, client):
        with pytest.raises(stripe.AuthenticationError) as refused:
            client_of(simulator, key="sk_test_somebody_elses_key").v1.customers.list()
        assert refused.value.http_status == 401
        assert "somebody" not in str(refused.value)

    def test_unknown_ids_and_addresses_are_missing(self, client):
        with pytest.raises(stripe.InvalidRequestError) as missing:
            client.v1.payment_intents.retrieve("pi_none")
        assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
        with pytest.raises(stripe.InvalidRequestError) as unknown:
            client.v1.coupons.list()
        assert unknown.value.http_status == 404

    def test_another_version_of_the_api_is_refused(self, client):
        with pytest.raises(stripe.InvalidRequestError, match="version"):
            client.v1.customers.list({}, {"stripe_version": "2024-06-20"})

    def test_controls_answer_over_http_too(self, simulator, client):
        def control(name: str, **arguments: object) -> object:
            body = json.dumps(arguments).encode()
            with urlopen(Request(f"{simulator.url}/_control/{name}", body), timeout=5) as response:
                return json.load(response)

        intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "automatic_payment_methods": HERE})
        assert control("pay_intent", intent=intent.client_secret)["status"] == "succeeded"
        before = control("now")
        assert control("advance_clock", days=2) - before >= 2 * 86400
        with pytest.raises(HTTPError) as unknown:
            control("_rule")
        unknown.value.close()
        assert unknown.value.code == 400
