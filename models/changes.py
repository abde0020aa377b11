"""Which rows changed, told to whoever waits for them, once the change is committed.

What is told is a nudge to look again: it may come twice, late or never, and says nothing about what changed. Nothing
is told of work that was rolled back.
"""

from collections.abc import Callable, Collection
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

CHANNEL = "agentforge:changes"  # where the processes of a deployment tell each other; a message is ids of 16 bytes each

Announcer = Callable[[Collection[UUID]], None]


def announce(session: Session, *ids: UUID) -> None:
    """Tell that the rows with these ids changed, after `session` has committed."""
    if ids:
        if not session.in_transaction():
            session.begin()  # so that there is something to roll back
        session.info.setdefault("changed", set()).update(ids)


def announce_through(announcer: Announcer) -> Announcer:
    """Choose who tells in this process, and return who did before. It must neither raise nor take its time."""
    global _announcer
    before, _announcer = _announcer, announcer
    return before


@event.listens_for(Session, "after_commit")
def _keep(session: Session) -> None:
    """SQLAlchemy calls this for released savepoints too. To tell too much does no harm, so they are not told apart."""
    if session.get_nested_transaction() is None and (ids := session.info.pop("changed", None)):
        session.info["changed_for_good"] = ids


@event.listens_for(Session, "after_transaction_end")
def _tell(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop("changed", None)
        if ids := session.info.pop("changed_for_good", None):
            _announcer(ids)


def _nobody(ids: Collection[UUID]) -> None:
    """Without somebody who tells, whoever waits looks by himself now and then."""


_announcer: Announcer = _nobody
