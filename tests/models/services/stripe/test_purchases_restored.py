"""Payments that Stripe knows of and a restored backup does not: they are written down again."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from models.errors import NotYet
from models.rules.prices.pricing import CURRENT, PRICE_LISTS, Package
from models.services.credits import ledger
from models.services.stripe import customers, purchases
from models.services.stripe.purchases import Effect
from models.tables import Purchase
from tests.models.services.stripe.test_purchases import kinds
from tests.support import factories
from tests.support.factories import billing


class TestAfterARestore:
    def test_a_lost_purchase_is_written_down_again_from_its_intent(self, session: Session) -> None:
        user = billing.customer(session)
        lost = Purchase(
            id=uuid4(), user_id=user.id, package_id="pack_1000", price_list="2026-11", amount_cents=6999, currency="usd"
        )
        paid = billing.intent(session, lost)
        with pytest.raises(NotYet):
            purchases.sync_intent(session, paid)
        for _ in range(2):
            assert purchases.restore_purchase(session, paid) is not None
        assert purchases.sync_intent(session, paid) is Effect.GRANTED
        assert ledger.balance(session, user.id).balance == 1150
        assert ledger.violations(session) == []

    def test_one_that_was_sold_by_another_price_list_gives_what_it_gave_then(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        then = replace(CURRENT, name="1999-01", packages={"pack_9": Package("pack_9", 9, 1, 100)})
        monkeypatch.setitem(PRICE_LISTS, "1999-01", then)
        sold = {"package_id": "pack_9", "price_list": "1999-01", "amount_cents": 100, "currency": "usd"}
        paid = billing.intent(session, Purchase(id=uuid4(), user_id=billing.customer(session).id, **sold))
        adopted = purchases.restore_purchase(session, paid)
        assert adopted is not None
        assert (adopted.granted, adopted.price_list) == (10, "1999-01")
        assert purchases.sync_intent(session, paid) is Effect.GRANTED

    @pytest.mark.parametrize(
        "wrong",
        [
            {"amount": 1},
            {"currency": "eur"},
            {"metadata": {}},
            {"metadata": {"agentforge_user": "00000000-0000-4000-8000-000000000000"}},
            {"metadata": {"agentforge_package": "1999-01/pack_1000"}},
            {"metadata": {"agentforge_package": "2026-11/pack_9"}},
        ],
        ids=str,
    )
    def test_what_cannot_be_trusted_is_left_to_a_person(self, session: Session, wrong: dict[str, Any]) -> None:
        row = billing.purchase(session)
        intent = billing.intent(session, row)
        metadata = intent["metadata"] | {"agentforge_purchase": str(uuid4())} | wrong.get("metadata", {})
        if wrong == {"metadata": {}}:
            metadata = {}
        assert purchases.restore_purchase(session, intent | wrong | {"metadata": metadata}) is None
        assert kinds(session) == ["orphan_payment"]

    def test_the_customer_is_believed_when_there_is_none(self, session: Session) -> None:
        row = billing.purchase(session, factories.user(session, credits=0))
        assert purchases.sync_intent(session, billing.intent(session, row, customer="cus_restored")) is Effect.GRANTED
        assert customers.customer_id(session, row.user_id) == "cus_restored"
