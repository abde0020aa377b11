"""Named leases, for work that only one process at a time may do and that takes longer than a transaction.

They are rows, because a session's lock would stay with the pooler's connection that happened to take it.
"""

from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from models.tables import NamedLease

_ACQUIRE = text("""
    INSERT INTO named_leases AS held (name, holder, expires_at)
    VALUES (:name, :holder, now() + make_interval(secs => :seconds))
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
     WHERE held.expires_at <= now() OR held.holder = excluded.holder
 RETURNING name
""")
_RENEW = text("""
    UPDATE named_leases SET expires_at = now() + make_interval(secs => :seconds)
     WHERE name = :name AND holder = :holder
 RETURNING name
""")


def acquire(session: Session, name: str, holder: str, *, seconds: float) -> bool:
    """Acquire the lease for `seconds` if it is free, expired or held by `holder`; returns whether it was acquired."""
    return session.scalar(_ACQUIRE, {"name": name, "holder": holder, "seconds": seconds}) is not None


def renew(session: Session, name: str, holder: str, *, seconds: float) -> bool:
    """Extend the lease to `seconds` from now; returns False if another holder has it."""
    return session.scalar(_RENEW, {"name": name, "holder": holder, "seconds": seconds}) is not None


def release(session: Session, name: str, holder: str) -> None:
    """Release the lease, if `holder` still has it."""
    session.execute(delete(NamedLease).where(NamedLease.name == name, NamedLease.holder == holder))
