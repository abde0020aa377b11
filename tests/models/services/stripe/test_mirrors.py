"""Payment methods, invoices and customers mirror Stripe's state, each for its own user."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import InvalidInput, NotFound, NotYet
from models.services.credits import ledger
from models.services.operations import alerts
from models.services.stripe import customers, invoices, payment_methods
from models.tables import Notification, NotificationKind, PaymentMethod, RequestKind, User
from tests.support import factories
from tests.support.factories import billing
from workers.notifications.texts import compose


def kept(session: Session, user: User, **changes: Any) -> PaymentMethod:
    row = payment_methods.sync(session, billing.payment_method(user.stripe_customer_id, **changes))
    assert row is not None
    return row


def told(session: Session, user: User) -> list[NotificationKind]:
    return list(session.scalars(select(Notification.kind).where(Notification.user_id == user.id)))


class TestPaymentMethods:
    def test_show_what_is_needed_to_know_a_card_by(self, session: Session) -> None:
        user = billing.customer(session)
        row = kept(session, user)
        assert (row.brand, row.last4, row.exp_month, row.exp_year) == ("visa", "4242", 12, 2030)
        renewed = {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2035}
        assert kept(session, user, id=row.stripe_id, card=renewed) is row
        assert row.exp_year == 2035

    def test_need_not_be_cards(self, session: Session) -> None:
        row = kept(session, billing.customer(session), type="sepa_debit", card=None, sepa_debit={"last4": "3000"})
        assert (row.type, row.brand, row.last4) == ("sepa_debit", None, "3000")

    def test_have_one_default_which_comes_first(self, session: Session) -> None:
        user = billing.customer(session)
        first, second = kept(session, user), kept(session, user)
        for default in (first, second, second):
            payment_methods.sync_default(session, user.id, default.stripe_id)
            session.expire_all()
            assert [row.is_default for row in payment_methods.list_owned(session, user)] == [True, False]
            assert payment_methods.list_owned(session, user)[0] is default
        payment_methods.sync_default(session, user.id, None)
        session.expire_all()
        assert not any(row.is_default for row in payment_methods.list_owned(session, user))

    def test_are_gone_once_detached_and_stay_so(self, session: Session) -> None:
        user = billing.customer(session)
        row = kept(session, user)
        payment_methods.sync_default(session, user.id, row.stripe_id)
        payment_methods.sync(session, billing.payment_method(None, id=row.stripe_id))
        assert payment_methods.list_owned(session, user) == []
        kept(session, user, id=row.stripe_id)
        assert payment_methods.list_owned(session, user) == []

    def test_are_their_owners_alone(self, session: Session) -> None:
        user, other = billing.customer(session), billing.customer(session)
        row = kept(session, user)
        for name in (str(row.id), row.stripe_id):
            assert payment_methods.get(session, user, name) is row
            with pytest.raises(NotFound):
                payment_methods.get(session, other, name)
            with pytest.raises(NotFound):
                payment_methods.start_add(session, other, name)
            for requested in (payment_methods.start_default, payment_methods.start_remove):
                assert requested(session, user, name).params == {"payment_method": row.stripe_id}
                with pytest.raises(NotFound):
                    requested(session, other, name)
        with pytest.raises(InvalidInput):
            payment_methods.start_add(session, user, "4242424242424242")

    def test_that_are_new_become_a_request_to_keep_them(self, session: Session) -> None:
        request = payment_methods.start_add(session, billing.customer(session), "pm_new")
        assert (request.kind, request.params) == (RequestKind.PAYMENT_METHOD_ADD, {"payment_method": "pm_new"})

    def test_of_unknown_customers_are_not_mirrored(self, session: Session) -> None:
        assert payment_methods.sync(session, billing.payment_method("cus_of_nobody")) is None


class TestInvoices:
    def test_show_what_was_paid_and_grant_nothing(self, session: Session) -> None:
        user = billing.customer(session)
        for _ in range(2):
            invoice = billing.invoice(session, user, id="in_1")
            row = invoices.sync_invoice(session, invoice)
        assert row is not None
        assert (row.amount_cents, row.status, row.description, row.paid_at) == (999, "paid", "1 × Premium", billing.NOW)
        assert invoices.list_owned(session, user) == [row]
        assert ledger.balance(session, user.id).balance == 0
        with pytest.raises(NotFound):
            invoices.get(session, billing.customer(session), row.id)

    def test_of_a_changed_plan_name_what_was_charged_not_what_was_credited(self, session: Session) -> None:
        user = billing.customer(session)
        unused = {"description": "Unused time on Premium", "amount": -999}
        remaining = {"description": "Remaining time on Enterprise", "amount": 4999}
        for lines, total in (([unused, remaining], 4000), ([remaining | {"amount": 100}, unused], -899)):
            invoices.sync_invoice(session, billing.invoice(session, user, total=total, lines={"data": lines}))
        shown = {row.amount_cents: row.description for row in invoices.list_owned(session, user)}
        assert shown == {4000: "Remaining time on Enterprise", -899: "Unused time on Premium"}

    def test_that_are_drafts_are_ignored(self, session: Session) -> None:
        user = billing.customer(session)
        invoices.sync_invoice(session, billing.invoice(session, user, "draft"))
        assert invoices.list_owned(session, user) == []

    def test_may_be_over_nothing_or_less(self, session: Session) -> None:
        user = billing.customer(session)
        for total in (0, -500):
            invoices.sync_invoice(session, billing.invoice(session, user, total=total))
        assert {row.amount_cents for row in invoices.list_owned(session, user)} == {0, -500}

    def test_that_could_not_be_paid_are_notified_once_per_try(self, session: Session) -> None:
        user = billing.customer(session)
        failed = billing.invoice(session, user, "open", attempted=True, attempt_count=1)
        for attempts in (1, 1, 2):
            invoices.sync_invoice(session, failed | {"attempt_count": attempts})
        assert told(session, user) == [NotificationKind.PAYMENT_FAILED] * 2
        invoices.sync_invoice(session, failed | {"status": "paid", "attempt_count": 3})
        assert len(told(session, user)) == 2

    def test_that_wait_for_their_first_payment_are_no_failure(self, session: Session) -> None:
        user = billing.customer(session)
        invoices.sync_invoice(session, billing.invoice(session, user, "open", attempted=False, attempt_count=0))
        assert told(session, user) == []

    def test_that_could_not_be_made_call_a_person(self, session: Session) -> None:
        user = billing.customer(session)
        broken = billing.invoice(session, user, "draft", last_finalization_error={"message": "No tax."})
        for _ in range(2):
            invoices.sync_invoice(session, broken)
        assert [alert.kind for alert in alerts.list_open(session)] == ["invoice_not_final"]

    def test_keep_the_payment_that_they_were_linked_with(self, session: Session) -> None:
        user = billing.customer(session)
        invoice = billing.invoice(session, user, payments={"data": []})
        row = invoices.sync_invoice(session, invoice)
        assert row is not None
        assert row.payment_intent_id is None
        invoices.sync_invoice(
            session,
            invoice | {"payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}},
        )
        invoices.sync_invoice(session, invoice)
        assert row.payment_intent_id == "pi_1"

    def test_belong_to_a_customer_or_to_the_user_that_the_subscription_names(self, session: Session) -> None:
        user = billing.customer(session)
        row = invoices.sync_invoice(session, billing.invoice(session, user, customer="cus_from_before_the_restore"))
        assert row is not None
        assert row.user_id == user.id
        stranger = billing.invoice(session, user, customer="cus_x", parent=None)
        assert invoices.sync_invoice(session, stranger) is None
        named = {"subscription_details": {"subscription": "sub_x", "metadata": {"agentforge_user": str(uuid4())}}}
        with pytest.raises(NotYet):
            invoices.sync_invoice(session, stranger | {"parent": named})

    def test_that_come_next_are_announced_once(self, session: Session) -> None:
        user = billing.customer(session)
        upcoming = billing.invoice(session, user, period_end=1) | {"id": None}
        for _ in range(2):
            invoices.notify_user(session, upcoming)
        invoices.notify_user(session, upcoming | {"period_end": 2})
        assert told(session, user) == [NotificationKind.INVOICE_UPCOMING] * 2

    @pytest.mark.parametrize(("cents", "currency", "money"), [(999, "usd", "9.99 USD"), (1500, "jpy", "1500 JPY")])
    def test_that_come_next_are_announced_with_their_day_and_amount(
        self, session: Session, cents: int, currency: str, money: str
    ) -> None:
        user = billing.customer(session)
        day = int(datetime(2026, 12, 24, 8, tzinfo=UTC).timestamp())
        said = {"period_end": 1, "next_payment_attempt": day, "total": cents, "amount_due": cents, "currency": currency}
        upcoming = billing.invoice(session, user, **said) | {"id": None}
        invoices.notify_user(session, upcoming)
        payload = session.scalars(select(Notification.payload)).first()
        assert f"will renew on 2026-12-24 for {money}" in compose(NotificationKind.INVOICE_UPCOMING, payload).body


class TestCustomers:
    def test_bring_their_default_method(self, session: Session) -> None:
        user = billing.customer(session)
        row = kept(session, user)
        customer = {"id": user.stripe_customer_id, "invoice_settings": {"default_payment_method": row.stripe_id}}
        assert customers.sync_customer(session, customer) == user.id
        session.expire_all()
        assert row.is_default

    def test_that_are_deleted_make_room_for_another_under_another_key(self, session: Session) -> None:
        user = billing.customer(session)
        kept(session, user)
        key = customers.key(session, user.id)
        for _ in range(2):
            customers.sync_customer(session, {"id": user.stripe_customer_id or "cus_gone", "deleted": True})
        assert customers.customer_id(session, user.id) is None
        assert payment_methods.list_owned(session, user) == []
        assert customers.key(session, user.id) == f"{key}-1"
        assert customers.remember(session, user.id, "cus_next") == "cus_next"

    def test_that_carry_our_id_are_known_again_after_a_restore(self, session: Session) -> None:
        user = factories.user(session)
        named = {"metadata": {"agentforge_user": str(user.id)}}
        assert customers.sync_customer(session, {"id": "cus_1", **named}) == user.id
        assert user.stripe_customer_id == "cus_1"
        assert customers.sync_customer(session, {"id": "cus_2", **named}) is None
        assert user.stripe_customer_id == "cus_1"

    def test_of_unknown_users_are_ignored(self, session: Session) -> None:
        assert customers.sync_customer(session, {"id": "cus_x"}) is None
        assert customers.sync_customer(session, {"id": "cus_x", "metadata": {"agentforge_user": str(uuid4())}}) is None
