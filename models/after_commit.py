"""Values that wait for the commit of a session: they are published after it, or never."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

T = TypeVar("T")


@dataclass
class _Outbox(Generic[T]):
    """The values of one transaction, each with the savepoint on whose release it depends (None: the transaction)."""

    pending: list[tuple[T, SessionTransaction | None]] = field(default_factory=list)
    committed: list[T] = field(default_factory=list)


class AfterCommit(Generic[T]):
    """Publishes the values added to a session after it commits; drops those whose work is rolled back.

    The values of a savepoint that is rolled back are dropped alone; those of a released one wait for the commit.
    """

    def __init__(self, publish: Callable[[Sequence[T]], None]) -> None:
        """`publish` gets the values of a commit in order, once the connection is free again. It must not raise."""
        self._publish = publish
        event.listen(Session, "after_commit", self._release)
        event.listen(Session, "after_transaction_end", self._publish_committed)

    def add(self, session: Session, *values: T) -> None:
        """Publish the values after the commit of `session`."""
        if not session.in_transaction():
            session.begin()  # the events below need a transaction, even if nothing else was written
        savepoint = session.get_nested_transaction()
        outbox: _Outbox[T] = session.info.setdefault(self, _Outbox())
        outbox.pending.extend((value, savepoint) for value in values)

    def _release(self, session: Session) -> None:
        """Collect the values of a commit for publishing.

        SQLAlchemy calls this for released savepoints too; then their values move to the enclosing transaction.
        """
        outbox: _Outbox[T] | None = session.info.get(self)
        if outbox is None:
            return
        released = session.get_nested_transaction()
        if released is None:
            outbox.committed = [value for value, _ in outbox.pending]
            outbox.pending = []
            return
        around = _enclosing(released)
        outbox.pending = [(value, around if inside is released else inside) for value, inside in outbox.pending]

    def _publish_committed(self, session: Session, transaction: SessionTransaction) -> None:
        """Publish committed values once the connection is free again; drop those that were rolled back."""
        if transaction.parent is None:
            ended: _Outbox[T] | None = session.info.pop(self, None)
            if ended and ended.committed:
                self._publish(ended.committed)
        elif transaction.nested and (outbox := session.info.get(self)):
            outbox.pending = [(value, inside) for value, inside in outbox.pending if inside is not transaction]


def _enclosing(savepoint: SessionTransaction) -> SessionTransaction | None:
    """The savepoint around this one; None if it is in the transaction itself."""
    parent = savepoint.parent
    while parent is not None and not parent.nested:
        parent = parent.parent
    return parent
