"""Wishes to subscribe and news of subscriptions in many hands at once."""

from collections import Counter

import pytest
from sqlalchemy.exc import IntegrityError

from models.db import session_scope
from models.rules.pricing import Tier
from models.services import customers, stripe_requests, subscriptions
from models.services.subscriptions import AlreadySubscribed
from models.stripe_request import RequestKind
from models.user import User
from tests import factories
from tests.factories import billing
from tests.factories.billing import TIERS
from tests.models.hands import at_once
from tests.models.test_subscriptions import ENTERPRISE, PREMIUM, sync


@pytest.mark.usefixtures("committed_database")
class TestInManyHands:
    def test_one_wish_to_subscribe_is_heard_however_many_are_made(self) -> None:
        with session_scope() as session:
            user_id = billing.customer(session).id

        def start(_: int) -> bool:
            try:
                with session_scope() as session:
                    user = session.get_one(User, user_id)
                    subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS)
            except AlreadySubscribed:
                return False
            return True

        assert Counter(at_once(16, start)) == {True: 1, False: 15}

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

    def test_two_subscriptions_of_one_user_leave_the_better_tier_whichever_is_heard_of_last(self) -> None:
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
