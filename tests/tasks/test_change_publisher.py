"""Changes are published after the commit, without blocking."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import redis

from models.changes import CHANNEL, notify_changed, set_change_publisher
from models.db import SessionFactory, session_scope
from tasks.change_publisher import RedisChangePublisher


@pytest.fixture
def told() -> Iterator[list[UUID]]:
    ids: list[UUID] = []
    before = set_change_publisher(ids.extend)
    yield ids
    set_change_publisher(before)


class TestAfterCommit:
    def test_nothing_is_published_before_it(self, session, told):
        changed = uuid4()
        notify_changed(session, changed)
        session.flush()
        assert told == []
        session.commit()
        assert told == [changed]

    def test_nothing_is_published_after_a_rollback(self, session, told):
        notify_changed(session, uuid4())
        session.rollback()
        session.commit()
        other = SessionFactory()
        notify_changed(other, uuid4())
        other.close()
        assert told == []

    def test_a_released_savepoint_is_no_commit(self, session, told):
        with session.begin_nested():
            notify_changed(session, changed := uuid4())
        assert told == []
        session.commit()
        assert told == [changed]

    def test_a_savepoint_that_rolls_back_takes_its_changes_along(self, session, told):
        notify_changed(session, changed := uuid4())
        savepoint = session.begin_nested()
        notify_changed(session, uuid4())
        savepoint.rollback()
        session.commit()
        assert told == [changed]

    def test_each_is_published_once(self, session, told):
        with session_scope() as inner:
            changed = uuid4()
            notify_changed(inner, changed)
            notify_changed(inner, changed)
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


class TestRedisChangePublisher:
    def test_sends_ids_that_listeners_can_read(self, redis_url):
        ids = {uuid4() for _ in range(300)}
        with redis.Redis.from_url(redis_url, socket_timeout=20) as client, client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL)
            pubsub.get_message(timeout=20)
            publisher = RedisChangePublisher(redis_url)
            for one in ids:
                publisher([one])
            assert heard(pubsub, len(ids)) == ids

    def test_goes_on_when_redis_is_away(self, session):
        before = set_change_publisher(RedisChangePublisher("redis://127.0.0.1:1/0"))
        try:
            for _ in range(3):
                notify_changed(session, uuid4())
                session.commit()
        finally:
            set_change_publisher(before)

    def test_goes_on_after_an_unexpected_error(self, redis_url, monkeypatch):
        monkeypatch.setattr("tasks.change_publisher.QUIET_SECONDS", 0.0)
        with redis.Redis.from_url(redis_url, socket_timeout=20) as client, client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL)
            pubsub.get_message(timeout=20)
            publisher = RedisChangePublisher(redis_url)
            publisher(["no id"])
            while publisher._ids:
                pass
            publisher([wanted := uuid4()])
            assert heard(pubsub, 1) == {wanted}
