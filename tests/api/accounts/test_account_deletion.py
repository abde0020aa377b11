"""Deleting an account: data deleted at once, later, or kept without a name, and the effects at Stripe."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, func, select, text, update

import models.tables  # noqa: F401  # so that the metadata has every table
from models.base import Base
from models.db import session_scope
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Tier
from models.rules.stripe.billing import OVER, Subject
from models.services.accounts import deletions
from models.services.accounts.deletions import DECISIONS, Fate
from models.services.notifications import notifications
from models.services.operations import audit
from models.services.stripe import stripe_requests
from models.tables import (
    AuditEntry,
    Credit,
    CreditTransaction,
    Execution,
    FormerAddress,
    Notification,
    Receipt,
    RequestKind,
    RequestStatus,
    Role,
    StripeRequest,
    Subscription,
    User,
    Workflow,
    WorkflowVersion,
)
from tests.support.api.accounts import follow_link
from tests.support.api.leaving import ADA, CANARY, end_overdue, furnish, leave, prove_address, sweep
from tests.support.api.routes import made
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe.sync import StripeSync

POINTS = {"user_id", "owner_id", "actor_id"}


@pytest.fixture
def client(app, stranger, session):
    """A client signed in as Ada."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {stranger.post('/auth/register', json=ADA).json['token']}"
    prove_address(session)
    return client


@pytest.fixture
def user_id(client, session):
    return session.scalars(select(User.id).where(User.email == ADA["email"])).one()


class TestTheRequest:
    def test_takes_the_password(self, client):
        refused = leave(client, "something else")
        assert (refused.status_code, refused.json["code"]) == (422, "wrong_password")
        assert client.get("/auth/me").status_code == 200

    def test_ends_sessions_and_access_keys_at_once(self, app, client):
        program = app.test_client()
        key = made(client, "/access-keys", {"name": "Program"})["key"]
        program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        assert program.get("/workflows").status_code == 200
        assert leave(client).status_code == 200
        assert (client.get("/auth/me").status_code, program.get("/workflows").status_code) == (401, 401)

    def test_leaves_no_name_at_once(self, client, session, user_id):
        leave(client)
        user = session.get_one(User, user_id, populate_existing=True)
        assert (user.name, user.password_hash) == ("Deleted user", "deleted")
        assert CANARY not in user.email
        assert user.deleted_at is not None

    def test_makes_signing_in_impossible(self, client, stranger):
        leave(client)
        refused = stranger.post("/auth/login", json={"email": ADA["email"], "password": ADA["password"]})
        assert (refused.status_code, refused.json["code"]) == (401, "wrong_credentials")

    def test_frees_the_address_without_a_second_welcome(self, app, client, stranger, session):
        leave(client)
        again = stranger.post("/auth/register", json={**ADA, "email": ADA["email"].upper()})
        assert again.status_code == 201
        follow_link(stranger, ADA["email"].upper())
        balance = select(Credit.balance).where(Credit.user_id == again.json["user"]["id"])
        assert session.scalars(balance).one() == Decimal(0)
        assert session.scalars(select(func.count()).select_from(FormerAddress)).one() == 1

    def test_is_shown_to_administrators_as_a_deleted_user(self, client, new_user, sign_in, user_id):
        leave(client)
        boss = sign_in(new_user("grace@example.com", role=Role.ADMIN))
        assert boss.get(f"/admin/users/{user_id}").json["user"]["name"] == "Deleted user"

    def test_is_in_the_audit_log(self, client, session, user_id):
        leave(client)
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "auth.account_deleted")).one()

    def test_lets_nothing_be_sent_any_more(self, client, session, user_id):
        leave(client)
        payload = {"available": "1"}
        assert notifications.add(session, user_id, notifications.NotificationKind.LOW_BALANCE, payload, key="x") == []


class TestTheLastMail:
    def test_goes_to_the_address_and_forgets_it(self, client, session, user_id, sent):
        sent.clear()
        leave(client)
        row = session.scalars(select(Notification)).one()
        assert (row.kind, row.payload) == ("account_deleted", {"to": ADA["email"]})
        assert {"notification_id": str(row.id)} in [message.ids for message in sent]
        deletions.erase(session)
        assert session.scalars(select(User.erased_at).where(User.id == user_id)).one() is None
        assert notifications.claim(session, row.id) is not None
        notifications.sent(session, row.id)
        assert session.scalars(select(Notification)).all() == []
        deletions.erase(session)
        assert session.scalars(select(User.erased_at).where(User.id == user_id)).one() is not None

    def test_that_cannot_be_sent_is_forgotten_too(self, client, session, user_id):
        leave(client)
        mail = session.scalars(select(Notification.id)).one()
        notifications.claim(session, mail)
        notifications.failed(session, mail, "no such mailbox", for_good=True)
        deletions.erase(session)
        assert session.scalars(select(Notification)).all() == []

    def test_is_for_proven_addresses(self, client, session, user_id):
        session.execute(update(User).where(User.id == user_id).values(email_verified_at=None))
        leave(client)
        assert session.scalars(select(Notification)).all() == []


class TestRuns:
    @pytest.mark.parametrize("status", [ExecutionStatus.QUEUED, ExecutionStatus.WAITING])
    def test_are_cancelled_wherever_they_wait(self, client, session, user_id, status):
        furnish(client)
        session.execute(update(Execution).values(status=ExecutionStatus.RUNNING))
        session.execute(update(Execution).values(status=status))
        leave(client)
        end_overdue(session)
        assert session.scalars(select(Execution.status)).one() is ExecutionStatus.CANCELLED
        assert session.scalars(select(Credit.held).where(Credit.user_id == user_id)).one() == 0

    def test_under_way_are_asked_to_stop(self, client, session):
        furnish(client)
        driven = {"lease_owner": "w", "lease_expires_at": func.now() + timedelta(seconds=30)}
        session.execute(update(Execution).values(status=ExecutionStatus.RUNNING, **driven))
        leave(client)
        end_overdue(session)
        assert session.scalars(select(Execution.status)).one() is ExecutionStatus.RUNNING
        assert session.scalars(select(Execution.cancel_requested_at)).one() is not None
        assert deletions.erase(session) == 0
        assert session.scalars(select(User.erased_at).where(User.deleted_at.is_not(None))).one() is None

    def test_that_began_meanwhile_are_stopped_too(self, client, session, user_id):
        furnish(client)
        leave(client)
        session.execute(update(Execution).values(cancel_requested_at=None, deadline_at=None))
        deletions.erase(session)
        end_overdue(session)
        assert session.scalars(select(Execution.status)).one() is ExecutionStatus.CANCELLED


class TestErasing:
    def test_leaves_of_each_table_what_was_decided(self, client, session, user_id):
        furnish(client)
        leave(client)
        sweep(session)
        for table in Base.metadata.sorted_tables:
            fate = DECISIONS.get(table.name)
            if fate in (Fate.AT_ONCE, Fate.SOON):
                owner = table.c.get("user_id") if "user_id" in table.c else table.c.owner_id
                left = session.scalars(select(func.count()).select_from(table).where(owner == user_id)).one()
                assert left == 0, table.name
        assert session.scalars(select(User.erased_at).where(User.id == user_id)).one() is not None
        assert session.scalars(select(func.count()).select_from(WorkflowVersion)).one() == 0
        assert session.scalars(select(Workflow.name)).all() == [""]

    def test_takes_what_people_wrote_out_of_the_audit_log(self, client, session, user_id):
        furnish(client)
        reason = {"reason": f"{CANARY} lost her phone", "transactionId": "t"}
        audit.record(session, actor=None, action="credits.adjusted", subject=user_id, data=reason)
        leave(client)
        sweep(session)
        rows = session.execute(select(AuditEntry.action, AuditEntry.data).where(AuditEntry.subject_id == user_id)).all()
        assert CANARY not in str(rows)
        assert ("credits.adjusted", {"transactionId": "t"}) in rows
        assert {"access_key.created", "access_key.deleted", "auth.account_deleted"} <= {row.action for row in rows}

    def test_keeps_the_books(self, client, session, user_id):
        furnish(client)
        leave(client)
        sweep(session)
        assert session.scalars(select(Receipt.user_id)).all() == [user_id]
        assert session.scalars(select(CreditTransaction.amount)).first() == Decimal(10)
        assert session.execute(text("SELECT * FROM ledger_violations()")).all() == []

    def test_may_be_done_again_at_any_point(self, client, session, user_id):
        furnish(client)
        leave(client)
        sweep(session)
        session.execute(update(User).where(User.id == user_id).values(erased_at=None))
        sweep(session)
        assert session.scalars(select(User.erased_at).where(User.id == user_id)).one() is not None

    def test_does_not_touch_other_users(self, client, session, new_user, sign_in):
        bob = new_user("bob@example.com")
        furnish(sign_in(bob))
        leave(client)
        sweep(session)
        assert session.scalars(select(Execution.user_id)).all() == [bob.id]
        assert session.scalars(select(Workflow.name)).all() == [CANARY]


def test_every_table_that_refers_to_a_user_is_decided_upon():
    """A new table is red here until `DECISIONS` says what becomes of its rows."""
    referring = {
        table.name
        for table in Base.metadata.sorted_tables
        if any(key.column.table.name == "users" for column in table.c for key in column.foreign_keys)
        or POINTS & set(table.c.keys())
    }
    assert referring == set(DECISIONS)


def test_nothing_of_the_person_is_left_in_a_dump(app, committed_database, redis_url, sent, monkeypatch):
    client = app.test_client()
    token = client.post("/auth/register", json=ADA).json["token"]
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    with session_scope() as session:
        prove_address(session)
    furnish(client)
    assert CANARY in _dump()
    assert leave(client).status_code == 200
    with session_scope() as session:
        sweep(session)
    found = [line for line in _dump().splitlines() if CANARY in line]
    assert found == []


def _dump() -> str:
    with session_scope() as session:
        lines = []
        for table in Base.metadata.sorted_tables:
            rows = session.execute(text(f"SELECT t::text FROM {table.name} t"))  # our own names
            lines += [f"{table.name}: {row[0]}" for row in rows]
    return "\n".join(lines)


class TestStripe:
    @pytest.fixture
    def subscribed(self, client, stripe):
        body = {"priceId": "price_premium_monthly", "paymentMethodId": "pm_card_visa"}
        assert client.post("/subscriptions/create", json=body).status_code == 201
        return client

    def test_ends_the_subscription_now(self, subscribed, session, user_id):
        assert leave(subscribed).status_code == 200
        session.expire_all()
        assert closing(session).status is RequestStatus.DONE
        assert set(session.scalars(select(Subscription.status))) <= OVER
        assert session.scalars(select(User.subscription_tier).where(User.id == user_id)).one() is Tier.FREE

    def test_is_asked_until_it_is_done(self, subscribed, session, user_id):
        request = stripe_requests.add(session, session.get_one(User, user_id), RequestKind.ACCOUNT_CLOSE, {})
        session.execute(update(StripeRequest).where(StripeRequest.id == request.id).values(tries=1000))
        stripe_requests.retry_later(session, request.id, "away")
        assert closing(session).status is RequestStatus.PENDING

    def test_is_asked_again_when_a_subscription_turns_up_later(self, subscribed, session, user_id, stripe, settings):
        leave(subscribed)
        session.execute(delete(StripeRequest))
        customer = session.scalars(select(User.stripe_customer_id).where(User.id == user_id)).one()
        gateway = StripeGateway(stripe.secret_key, stripe.url)
        made = gateway.create_subscription(
            customer=customer, price="price_premium_monthly", payment_method=None, metadata={}, key="late"
        )
        StripeSync(gateway, settings.stripe.tiers).sync(session, Subject.SUBSCRIPTION, made["id"])
        assert closing(session).status is RequestStatus.PENDING
        assert session.scalars(select(User.name).where(User.id == user_id)).one() == "Deleted user"


def closing(session) -> StripeRequest:
    requested = select(StripeRequest).where(StripeRequest.kind == RequestKind.ACCOUNT_CLOSE)
    return session.scalars(requested.execution_options(populate_existing=True)).one()


def test_a_user_without_a_customer_makes_no_stripe_request(client, session):
    leave(client)
    assert session.scalars(select(StripeRequest)).all() == []
