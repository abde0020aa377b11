"""The month's calls are counted from rows, and refused when they are used up, however many ask at once."""

from collections import Counter
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.prices.pricing import PLANS, Tier
from models.services.credits import api_calls
from models.services.executions import executions
from models.tables import User
from tests.support import factories
from tests.support.database.concurrency import at_once

LIMIT = PLANS[Tier.FREE].limits.api_calls_per_month
CALLING = factories.chain(factories.node("ask", "ai_agent"), factories.node("end", "output"))


def use(session: Session, user: User, times: int, *, ago: str = "0") -> None:
    session.execute(
        text("""
            INSERT INTO api_calls (execution_id, node_id, path, user_id, at)
            SELECT :run, 'n', i::text, :user, now() - CAST(:ago AS interval) FROM generate_series(1, :times) i
        """),
        {"run": uuid4(), "user": user.id, "times": times, "ago": ago},
    )


@pytest.mark.usefixtures("committed_database")
def test_a_hundred_who_ask_at_once_get_no_more_than_are_left() -> None:
    with session_scope() as session:
        user = factories.user(session)
        use(session, user, LIMIT - 7)
    run = uuid4()

    def ask(number: int) -> bool:
        with session_scope() as session:
            return api_calls.reserve(session, user.id, run, "n", str(number))

    assert Counter(at_once(100, ask)) == {True: 7, False: 93}


class TestSubmitting:
    def test_is_refused_when_the_graph_calls_and_nothing_is_left(self, session: Session) -> None:
        user = factories.user(session)
        workflow = factories.workflow(session, user, graph=CALLING)
        use(session, user, LIMIT)
        with pytest.raises(api_calls.ApiCallLimitReached, match=r"The free tier allows 100 AI and API calls"):
            executions.submit(session, user, workflow.id)

    def test_goes_on_for_graphs_without_calls(self, session: Session) -> None:
        user = factories.user(session)
        use(session, user, LIMIT)
        assert executions.submit(session, user, factories.workflow(session, user).id).status == "queued"

    def test_goes_on_while_one_is_left_and_in_the_next_month(self, session: Session) -> None:
        user = factories.user(session)
        workflow = factories.workflow(session, user, graph=CALLING)
        use(session, user, LIMIT - 1)
        use(session, user, LIMIT, ago="32 days")
        assert executions.submit(session, user, workflow.id).status == "queued"
        assert api_calls.used(session, user.id, Tier.FREE).used == LIMIT - 1

    def test_knows_no_limit_on_the_highest_tier(self, session: Session) -> None:
        user = factories.user(session, tier=Tier.ENTERPRISE)
        use(session, user, LIMIT)
        workflow = factories.workflow(session, user, graph=CALLING)
        assert executions.submit(session, user, workflow.id).status == "queued"
        assert api_calls.used(session, user.id, Tier.ENTERPRISE).limit == -1
