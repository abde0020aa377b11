"""Work of one process at a time: a lease in a row, renewed during the work, free soon after a crash."""

import time

import pytest
from sqlalchemy import text

from models.db import session_scope
from models.services.rows import named_leases
from workers.exclusive import exclusive

pytestmark = pytest.mark.usefixtures("committed_database")


def test_a_lease_has_one_holder_and_is_free_again_when_the_block_ends() -> None:
    with exclusive("books") as lease, exclusive("books") as other, exclusive("stock") as stock:
        assert lease is not None
        assert other is None
        assert stock is not None
    with exclusive("books") as lease:
        assert lease is not None


def test_a_lease_lasts_as_long_as_the_work_however_short_it_is() -> None:
    with exclusive("books", seconds=0.4) as lease:
        time.sleep(1.2)
        assert lease is not None
        assert not lease.is_lost
        with exclusive("books") as other:
            assert other is None


def test_the_lease_of_a_dead_holder_expires_soon() -> None:
    with session_scope() as session:
        assert named_leases.acquire(session, "books", "dead", seconds=0.3)
    with exclusive("books") as lease:
        assert lease is None
    time.sleep(0.4)
    with exclusive("books") as lease:
        assert lease is not None


def test_a_frozen_holder_learns_that_its_lease_is_lost_and_leaves_others() -> None:
    with exclusive("books", seconds=0.4) as lease:
        assert lease is not None
        with session_scope() as session:
            session.execute(text("UPDATE named_leases SET holder = 'other', expires_at = now() + interval '1 minute'"))
        time.sleep(0.3)
        assert lease.is_lost
    with exclusive("books") as another:
        assert another is None  # the other one's lease was not given back with ours


def test_without_the_database_a_lease_is_trusted_until_it_expires() -> None:
    with exclusive("books", seconds=0.4) as lease:
        assert lease is not None
        with session_scope() as session:
            session.execute(text("ALTER TABLE named_leases RENAME TO away"))
        time.sleep(0.6)
        assert lease.is_lost


def test_who_may_wait_says_so_once_and_gets_the_lease_of_one_that_died() -> None:
    told: list[str] = []
    with session_scope() as session:
        assert named_leases.acquire(session, "books", "dead", seconds=1.5)
    with exclusive("books", wait_seconds=10, on_wait=lambda: told.append("waits")) as lease:
        assert lease is not None
    assert told == ["waits"]


def test_waiting_is_limited_to_the_given_time() -> None:
    began = time.monotonic()
    with exclusive("books"), exclusive("books", wait_seconds=1.2) as other:
        assert other is None
    assert 1.2 <= time.monotonic() - began < 20


def test_a_free_lease_is_taken_at_once() -> None:
    told: list[str] = []
    with exclusive("books", wait_seconds=10, on_wait=lambda: told.append("waits")) as lease:
        assert lease is not None
    assert told == []
