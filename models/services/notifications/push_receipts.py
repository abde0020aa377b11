"""Receipts of pushes: Expo accepts a push at once, and has a receipt about its delivery some minutes later.

Each accepted push leaves a ticket, which is deleted when its receipt is fetched, or after a day, because Expo keeps
receipts no longer.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from models.tables import PushDevice, PushFailure, PushTicket

ASK_AFTER_SECONDS = 15 * 60.0  # as Expo recommends; also between further tries while there is no receipt
KEPT = timedelta(days=1)
MAX_TICKETS = 1000  # that Expo accepts in one request
NO_RECEIPT = "no_receipt"

_EXPECT = text("""
    INSERT INTO push_tickets (id, token, due_at)
    SELECT :ticket, token, now() + make_interval(secs => :seconds) FROM push_devices WHERE token = :token
    ON CONFLICT DO NOTHING
""")

_CLAIM = text("""
    UPDATE push_tickets SET due_at = now() + make_interval(secs => :seconds)
     WHERE id IN (SELECT id FROM push_tickets WHERE due_at <= now()
                   ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED)
 RETURNING id
""")

_COUNT = text("""
    INSERT INTO push_failures AS f (error, failures) VALUES (:error, :number)
    ON CONFLICT (error) DO UPDATE SET failures = f.failures + excluded.failures
""")


def expect(session: Session, ticket: str, token: str) -> None:
    """Store the ticket of an accepted push, for fetching its receipt; does nothing if the device was removed."""
    session.execute(_EXPECT, {"ticket": ticket, "token": token, "seconds": ASK_AFTER_SECONDS})


def claim(session: Session) -> Sequence[str]:
    """Claim the tickets whose receipts are due, for this process only. Commit before fetching them."""
    return session.scalars(_CLAIM, {"seconds": ASK_AFTER_SECONDS, "most": MAX_TICKETS}).all()


def close(session: Session, tickets: Collection[str]) -> None:
    """Delete tickets whose receipts were fetched."""
    session.execute(delete(PushTicket).where(PushTicket.id.in_(tickets)))


def remove_devices(session: Session, tickets: Collection[str]) -> int:
    """Remove the devices of these tickets, which are not registered at Expo any more; returns how many."""
    tokens = select(PushTicket.token).where(PushTicket.id.in_(tickets))
    removed = delete(PushDevice).where(PushDevice.token.in_(tokens)).returning(PushDevice.token)
    return len(session.scalars(removed).all())


def expire(session: Session) -> int:
    """Delete tickets without a receipt after a day, and count them as failures; returns how many."""
    late = delete(PushTicket).where(PushTicket.created_at < func.now() - KEPT).returning(PushTicket.id)
    number = len(session.scalars(late).all())
    if number:
        count(session, NO_RECEIPT, number)
    return number


def count(session: Session, error: str, number: int = 1) -> None:
    """Add failures with `error` to the counts for operators."""
    session.execute(_COUNT, {"error": error[:60], "number": number})


def counts(session: Session) -> dict[str, int]:
    """The number of failures since the beginning, by the receipt's error."""
    return {row.error: row.failures for row in session.scalars(select(PushFailure).order_by(PushFailure.error))}
