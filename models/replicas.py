"""Read replicas: standbys of the database for what may be a little old, but never older than the caller's own writes.

Where a write ends in the write-ahead log is stored with the session or access key that wrote (`written_position`). A
standby serves a caller once it has replayed the log up to there, and while it is not far behind.
"""

import random
import time
from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from models.db import new_engine, single_statement_scope
from models.raw_statement import RawStatement

log = structlog.get_logger(__name__)

MAX_LAG_SECONDS = 30  # workers write their presence every 15 seconds, so the log moves on while nothing else happens
REST_SECONDS = 5.0  # for which a standby that failed or is behind is not asked
POOL_SIZE = 5

# A server that is no standby, such as one that was promoted, has replayed nothing and serves nobody.
_IS_FRESH = RawStatement("""
    SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') >= :position, false),
           coalesce(clock_timestamp() - pg_last_xact_replay_timestamp() < make_interval(secs => :longest), false)
""")
_NOTE = RawStatement("""
    WITH position AS (SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS value),
         session AS (UPDATE sessions SET written_position = value FROM position WHERE id = :credential)
    UPDATE access_keys SET written_position = value FROM position WHERE id = :credential RETURNING value
""")


def note_write(credential: UUID) -> None:
    """Remember that everything which is committed by now must be seen by later requests with this credential."""
    with single_statement_scope() as session:
        _NOTE.rows(session, {"credential": credential})


class Replicas:
    """The standbys at `urls`; they are connected to on first use."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._replicas = [_Replica(url, number) for number, url in enumerate(urls, 1)]

    def __bool__(self) -> bool:
        return bool(self._replicas)

    def session(self, position: int) -> Session | None:
        """A session on a standby that has replayed the log up to `position`; None if the primary has to be asked."""
        now = time.monotonic()
        able = [replica for replica in self._replicas if replica.rests_until <= now]
        for replica in random.sample(able, len(able)):
            if session := replica.session(position):
                return session
        return None

    def close(self) -> None:
        """Close all connections."""
        for replica in self._replicas:
            replica.close()


class _Replica:
    def __init__(self, url: str, number: int) -> None:
        self._engine = new_engine(url, pool_size=POOL_SIZE)
        self._number = number
        self.rests_until = 0.0

    def session(self, position: int) -> Session | None:
        session = Session(self._engine, expire_on_commit=False)
        try:
            has_replayed, is_recent = _IS_FRESH.rows(session, {"position": position, "longest": MAX_LAG_SECONDS})[0]
        except (DBAPIError, PoolTimeout) as error:
            self._rest(type(error).__name__)
            has_replayed = is_recent = False
        else:
            if not is_recent:
                self._rest("behind")
        if has_replayed and is_recent:
            return session
        session.close()
        return None

    def close(self) -> None:
        self._engine.dispose()

    def _rest(self, reason: str) -> None:
        log.warning("replica.unused", replica=self._number, reason=reason, seconds=REST_SECONDS)
        self.rests_until = time.monotonic() + REST_SECONDS
