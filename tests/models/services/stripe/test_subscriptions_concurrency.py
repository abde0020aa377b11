"""Concurrent subscription requests and events."""

from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.stripe import customers, stripe_requests, subscriptions
from models.tables import RequestKind, User
from tests.models.services.stripe.test_subscriptions import ENTERPRISE, PREMIUM, sync
from tests.support import factories
from tests.support.database.concurrency import at_once
from tests.support.factories import billing
from tests.support.factories.billing import TIERS


@pytest.mark.usefixtures("committed_database")
class TestConcurrently:
    def test_one_request_to_subscribe_is_accepted_however_many_are_made(self) -> None:
        with session_scope() as session:
            user_id = billing.customer(session).id

        def start(_: int) -> UUID:
            with session_scope() as session:
                user = session.get_one(User, user_id)
                return subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS).id

        assert len(set(at_once(16, start))) == 1

    def test_the_database_itself_refuses_a_second_one(self) -> None:
        with session_scope() as session:
            user = billing.customer(session)
            stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_CREATE, {})
        with pytest.raises(IntegrityError, match="one_subscription"), session_scope() as session:
            stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_CREATE, {})

    def test_a_user_becomes_one_customer_however_many_are_made(self) -> None:
        with session_scope() as session:
            user_id = factories.user(session).id

        def remember(number: int) -> str:
            with session_scope() as session:
                return customers.remember(session, user_id, f"cus_{number}")

        assert len(set(at_once(16, remember))) == 1

    def test_two_subscriptions_leave_the_better_tier_in_either_order(self) -> None:
        with session_scope() as session:
            users = [billing.customer(session) for _ in range(24)]
            both = [
                billing.subscription(session, user, price=price) for user in users for price in (PREMIUM, ENTERPRISE)
            ]

        def follow(number: int) -> None:
            with session_scope() as session:
                sync(session, both[number])

        at_once(len(both), follow)
        with session_scope() as session:
            tiers = [session.get_one(User, user.id).subscription_tier for user in users]
            assert tiers == [Tier.ENTERPRISE] * len(users)
