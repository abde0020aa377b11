"""What changed is told after the commit, to whoever listens, and never holds anybody up."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import redis

from models.changes import CHANNEL, announce, announce_through
from models.db import SessionFactory, session_scope
from tasks.announcer import Announcer


@pytest.fixture
def told() -> Iterator[list[UUID]]:
    ids: list[UUID] = []
    before = announce_through(ids.extend)
    yield ids
    announce_through(before)


class TestAfterCommit:
    def test_nothing_is_told_before_it(self, session, told):
        changed = uuid4()
        announce(session, changed)
        session.flush()
        assert told == []
        session.commit()
        assert told == [changed]

    def test_nothing_is_told_of_what_was_rolled_back(self, session, told):
        announce(session, uuid4())
        session.rollback()
        session.commit()
        other = SessionFactory()
        announce(other, uuid4())
        other.close()
        assert told == []

    def test_a_released_savepoint_is_no_commit(self, session, told):
        with session.begin_nested():
            announce(session, changed := uuid4())
        assert told == []
        session.commit()
        assert told == [changed]

    def test_each_is_told_once(self, session, told):
        with session_scope() as inner:
            changed = uuid4()
            announce(inner, changed)
            announce(inner, changed)
        assert told == [changed]


def heard(pubsub, number: int) -> set[UUID]:
    """So many ids, in as many messages as they came in."""
    ids: set[UUID] = set()
    for message in pubsub.listen():
        if message["type"] == "message":
            data = message["data"]
            ids |= {UUID(bytes=data[place : place + 16]) for place in range(0, len(data), 16)}
        if len(ids) >= number:
            return ids
    return ids


class TestAnnouncer:
    def test_sends_ids_that_listeners_can_read(self, redis_url):
        ids = {uuid4() for _ in range(300)}
        with redis.Redis.from_url(redis_url, socket_timeout=20) as client, client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL)
            pubsub.get_message(timeout=20)
            announcer = Announcer(redis_url)
            for one in ids:
                announcer([one])
            assert heard(pubsub, len(ids)) == ids

    def test_goes_on_when_redis_is_away(self, session):
        before = announce_through(Announcer("redis://127.0.0.1:1/0"))
        try:
            for _ in range(3):
                announce(session, uuid4())
                session.commit()
        finally:
            announce_through(before)

    def test_goes_on_after_what_nobody_expected(self, redis_url, monkeypatch):
        monkeypatch.setattr("tasks.announcer.QUIET_SECONDS", 0.0)
        with redis.Redis.from_url(redis_url, socket_timeout=20) as client, client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL)
            pubsub.get_message(timeout=20)
            announcer = Announcer(redis_url)
            announcer(["no id"])
            while announcer._ids:
                pass
            announcer([wanted := uuid4()])
            assert heard(pubsub, 1) == {wanted}
