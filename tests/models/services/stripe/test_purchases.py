"""A purchase is granted once, for the right payment, for any number and order of events."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import InvalidInput, NotFound, NotYet
from models.rules.prices.pricing import PACKAGES
from models.services.credits import ledger
from models.services.operations import alerts
from models.services.stripe import customers, payment_methods, purchases, refunds
from models.services.stripe.purchases import Effect
from models.tables import Notification, NotificationKind, Purchase, PurchaseStatus
from tests.support import factories
from tests.support.factories import billing


def balance(session: Session, purchase: Purchase) -> Decimal:
    return ledger.balance(session, purchase.user_id).balance


def kinds(session: Session) -> list[str]:
    return [alert.kind for alert in alerts.list_open(session)]


class TestStart:
    @pytest.mark.parametrize("package", PACKAGES.values(), ids=list(PACKAGES))
    def test_sells_a_package_by_its_name_or_its_price_as_it_is_now(self, session: Session, package: Any) -> None:
        user = billing.customer(session)
        by_name, request = purchases.start(session, user, package_id=package.id)
        by_price, _ = purchases.start(session, user, amount_cents=package.price_cents)
        for row in (by_name, by_price):
            assert (row.package_id, row.amount_cents, row.currency) == (package.id, package.price_cents, "usd")
            assert row.granted == package.credits + package.bonus
            assert row.status is PurchaseStatus.PENDING
        assert request.key == f"purchase-{by_name.id}-a1"
        assert request.subject_id == by_name.id
        assert request.params["amount"] == package.price_cents
        assert request.params["metadata"]["agentforge_purchase"] == str(by_name.id)
        assert ledger.balance(session, user.id).balance == 0

    @pytest.mark.parametrize(
        ("requested", "field"),
        [
            ({}, "amount"),
            ({"package_id": "pack_100", "amount_cents": 999}, "packageId"),
            ({"package_id": "pack_7"}, "packageId"),
            ({"amount_cents": 1000}, "amount"),
        ],
    )
    def test_refuses_what_is_not_for_sale(self, session: Session, requested: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            purchases.start(session, billing.customer(session), **requested)
        assert [error.field for error in refused.value.errors] == [field]

    def test_takes_only_payment_methods_that_are_the_users(self, session: Session) -> None:
        mine, other = billing.customer(session), billing.customer(session)
        kept = payment_methods.sync(session, billing.payment_method(other.stripe_customer_id))
        assert kept is not None
        for theirs in (str(kept.id), kept.stripe_id):
            with pytest.raises(NotFound):
                purchases.start(session, mine, package_id="pack_100", payment_method_id=theirs)
        with pytest.raises(InvalidInput):
            purchases.start(session, mine, package_id="pack_100", payment_method_id="visa")
        row, request = purchases.start(session, other, package_id="pack_100", payment_method_id=str(kept.id))
        assert row.payment_method_id == request.params["payment_method"] == kept.stripe_id

    def test_is_visible_to_its_owner_only(self, session: Session) -> None:
        row = billing.purchase(session)
        with pytest.raises(NotFound):
            purchases.get(session, factories.user(session), row.id)

    def test_waits_until_a_dispute_is_settled(self, session: Session) -> None:
        user = billing.customer(session)
        paid = billing.purchase(session, user, paid=True)
        dispute = billing.dispute(paid)
        refunds.sync_dispute(session, dispute)
        with pytest.raises(purchases.PaymentsFrozen):
            purchases.start(session, user, package_id="pack_100")
        refunds.sync_dispute(session, dispute | {"status": "lost"})
        purchases.start(session, user, package_id="pack_100")


class TestPaying:
    def test_grants_what_was_sold_and_notifies_the_user(self, session: Session) -> None:
        row = billing.purchase(session, package="pack_500")
        assert purchases.sync_intent(session, billing.intent(session, row)) is Effect.GRANTED
        assert balance(session, row) == 550
        assert row.status is PurchaseStatus.SUCCEEDED
        assert row.client_secret is None
        move = ledger.history(session, row.user_id)[0]
        assert (move.key, move.source, move.purchase_id) == (f"pi:{row.payment_intent_id}", "purchase", row.id)
        told = session.scalars(select(Notification).where(Notification.user_id == row.user_id)).one()
        assert (told.kind, told.payload["credits"]) == (NotificationKind.PURCHASE, "550")
        assert ledger.violations(session) == []

    def test_twice_grants_once(self, session: Session) -> None:
        row = billing.purchase(session, paid=True)
        assert purchases.sync_intent(session, billing.intent(session, row)) is Effect.PAID_BEFORE
        assert balance(session, row) == 100

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("requires_payment_method", PurchaseStatus.PENDING),
            ("requires_confirmation", PurchaseStatus.PENDING),
            ("requires_action", PurchaseStatus.REQUIRES_ACTION),
            ("processing", PurchaseStatus.PROCESSING),
            ("requires_capture", PurchaseStatus.PROCESSING),
            ("canceled", PurchaseStatus.CANCELED),
        ],
    )
    def test_may_follow_any_other_state_and_none_of_them_undoes_it(
        self, session: Session, word: str, status: PurchaseStatus
    ) -> None:
        row = billing.purchase(session)
        assert purchases.sync_intent(session, billing.intent(session, row, word)) is Effect.RECORDED
        assert row.status is status
        assert purchases.sync_intent(session, billing.intent(session, row)) is Effect.GRANTED
        assert purchases.sync_intent(session, billing.intent(session, row, word)) is Effect.PAID_BEFORE
        assert row.status is PurchaseStatus.SUCCEEDED
        assert balance(session, row) == 100

    def test_may_follow_a_decline_which_is_notified_once_per_try(self, session: Session) -> None:
        row = billing.purchase(session)
        error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No.", "charge": "ch_1"}
        for charge in ("ch_1", "ch_1", "ch_2"):
            declined = {"last_payment_error": error, "latest_charge": charge}
            purchases.sync_intent(session, billing.intent(session, row, "requires_payment_method", **declined))
        assert row.status is PurchaseStatus.FAILED
        assert row.failure == {"code": "card_declined", "declineCode": "insufficient_funds", "message": "No."}
        assert row.client_secret is not None
        told = session.scalars(select(Notification.kind).where(Notification.user_id == row.user_id)).all()
        assert told == [NotificationKind.PAYMENT_FAILED] * 2
        purchases.sync_intent(session, billing.intent(session, row))
        assert (row.status, row.failure) == (PurchaseStatus.SUCCEEDED, None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"amount_received": 998},
            {"amount_received": 1000},
            {"currency": "eur"},
            {"customer": "cus_x"},
            {"customer": None},
        ],
        ids=str,
    )
    def test_of_anything_else_than_was_asked_grants_nothing_and_calls_a_person(
        self, session: Session, wrong: dict[str, Any]
    ) -> None:
        row = billing.purchase(session)
        for _ in range(2):
            assert purchases.sync_intent(session, billing.intent(session, row, **wrong)) is Effect.MISMATCH
        assert (row.status, balance(session, row)) == (PurchaseStatus.REVIEW, 0)
        assert kinds(session) == ["payment_mismatch"]
        assert ledger.violations(session) == []

    def test_by_a_subscriptions_intent_grants_nothing(self, session: Session) -> None:
        row = billing.purchase(session)
        other = billing.intent(session, row, id="pi_of_an_invoice", metadata={})
        assert purchases.sync_intent(session, other) is Effect.NOT_OURS
        assert balance(session, row) == 0

    @pytest.mark.parametrize("metadata", [None, {"agentforge_purchase": "no uuid"}, {"agentforge_purchase": None}])
    def test_by_an_intent_with_odd_metadata_grants_nothing(self, session: Session, metadata: Any) -> None:
        row = billing.purchase(session)
        assert purchases.sync_intent(session, billing.intent(session, row, metadata=metadata)) is Effect.NOT_OURS

    def test_before_our_own_commit_waits(self, session: Session) -> None:
        row = billing.purchase(session)
        early = billing.intent(session, row, metadata={"agentforge_purchase": str(uuid4())}, id="pi_early")
        with pytest.raises(NotYet):
            purchases.sync_intent(session, early)

    def test_is_known_by_the_intents_id_even_without_metadata(self, session: Session) -> None:
        row = billing.purchase(session)
        purchases.sync_intent(session, billing.intent(session, row, "processing"))
        assert purchases.sync_intent(session, billing.intent(session, row, metadata={})) is Effect.GRANTED
        assert purchases.knows(session, str(row.payment_intent_id))

    def test_of_a_user_who_became_another_customer_meanwhile_counts(self, session: Session) -> None:
        row = billing.purchase(session)
        asked = billing.intent(session, row, "requires_action")
        purchases.sync_intent(session, asked)
        customers.sync_customer(session, {"id": asked["customer"], "deleted": True})
        customers.remember(session, row.user_id, "cus_next")
        paid = asked | {"status": "succeeded", "amount_received": row.amount_cents}
        assert purchases.sync_intent(session, paid) is Effect.GRANTED

    def test_an_unknown_status_changes_nothing_and_alerts_an_operator(self, session: Session) -> None:
        row = billing.purchase(session)
        purchases.sync_intent(session, billing.intent(session, row, "processing"))
        purchases.sync_intent(session, billing.intent(session, row, "dreaming"))
        assert row.status is PurchaseStatus.PROCESSING
        assert kinds(session) == ["unknown_status"]


class TestNewsThatIsOld:
    def test_overwrites_nothing_but_may_be_the_first(self, session: Session) -> None:
        row = billing.purchase(session)
        answer = billing.intent(session, row, "requires_payment_method")
        purchases.sync_intent(session, answer, fresh=False)
        assert row.payment_intent_id == answer["id"]
        purchases.sync_intent(session, billing.intent(session, row, "processing"))
        purchases.sync_intent(session, answer, fresh=False)
        assert row.status is PurchaseStatus.PROCESSING

    @pytest.mark.parametrize(
        ("word", "status"), [("succeeded", PurchaseStatus.SUCCEEDED), ("canceled", PurchaseStatus.CANCELED)]
    )
    def test_counts_when_it_is_final(self, session: Session, word: str, status: PurchaseStatus) -> None:
        row = billing.purchase(session)
        purchases.sync_intent(session, billing.intent(session, row, "processing"))
        purchases.sync_intent(session, billing.intent(session, row, word), fresh=False)
        assert row.status is status


class TestASecondIntent:
    """A request that was lost and made again under a new key may leave two."""

    def test_counts_when_it_is_the_one_that_was_paid(self, session: Session) -> None:
        row = billing.purchase(session)
        purchases.sync_intent(session, billing.intent(session, row, "requires_action"))
        other = billing.intent(session, row, "processing", id="pi_second")
        assert purchases.sync_intent(session, other) is Effect.RECORDED
        assert row.payment_intent_id != "pi_second"
        assert purchases.sync_intent(session, billing.intent(session, row, id="pi_second")) is Effect.GRANTED
        assert (row.payment_intent_id, balance(session, row)) == ("pi_second", 100)
        assert ledger.violations(session) == []

    def test_that_is_paid_too_is_not_granted_and_calls_a_person(self, session: Session) -> None:
        row = billing.purchase(session, paid=True)
        assert purchases.sync_intent(session, billing.intent(session, row, id="pi_second")) is Effect.PAID_TWICE
        assert balance(session, row) == 100
        assert kinds(session) == ["paid_twice"]
        assert ledger.violations(session) == []
