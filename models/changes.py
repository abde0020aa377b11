"""Change notifications: the ids of changed rows, published after the commit for clients that wait for them.

A notification is a hint to read the row again: it may arrive twice, late or never, and does not say what changed. None
is sent for work that was rolled back.
"""

from collections.abc import Callable, Collection
from uuid import UUID

from sqlalchemy.orm import Session

from models.after_commit import AfterCommit

CHANNEL = "agentforge:changes"  # the pub/sub channel of a deployment; a message is ids of 16 bytes each

ChangePublisher = Callable[[Collection[UUID]], None]


def notify_changed(session: Session, *ids: UUID) -> None:
    """Publish the ids of changed rows after `session` has committed."""
    if ids:
        _changed.add(session, *ids)


def publish_changed(ids: Collection[UUID]) -> None:
    """Publish the ids of rows whose change is committed already."""
    if ids:
        _publisher(ids)


def set_change_publisher(publisher: ChangePublisher) -> ChangePublisher:
    """Set the publisher of this process and return the previous one. It must neither raise nor block."""
    global _publisher
    before, _publisher = _publisher, publisher
    return before


def _null_publisher(ids: Collection[UUID]) -> None:
    """Publish nothing; waiting clients poll the database now and then."""


_publisher: ChangePublisher = _null_publisher
_changed = AfterCommit[UUID](lambda ids: _publisher(set(ids)))
