"""The second factor: time-based codes (RFC 6238) of an authenticator app, and recovery codes.

Every code works once. Wrong codes are counted per account, in the row that a check locks, so that concurrent guesses
are counted one after the other.
"""

import hashlib
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from uuid import UUID, uuid4

import pyotp
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound, Quota, TooManyAttempts
from models.services.accounts.provider_keys import Rotated
from models.services.notifications import notifications
from models.tables import NotificationKind, TwoFactor, User
from models.vault import Sealed, SecretUnreadable, Vault

ISSUER = "AgentForge"
CONTEXT = "two_factor"  # takes the provider's place in the associated data of a sealed secret
STEP_SECONDS = 30
DRIFT_STEPS = 1  # by which the clock of a device may be ahead or behind
RECOVERY_CODES = 10
RECOVERY_LENGTH = 16  # characters of five bits each
RECOVERY_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # without characters that are easily confused
MAX_FAILURES = 5
FAILURE_WINDOW = timedelta(minutes=15)


class TooManyCodes(TooManyAttempts):
    """Too many wrong codes for this account: none is accepted for a quarter of an hour."""

    code = "too_many_codes"

    def __init__(self, retry_after: float) -> None:
        message = f"Too many wrong codes. Try again in {max(1, math.ceil(retry_after / 60))} minutes."
        super().__init__(message, quota=Quota(MAX_FAILURES, MAX_FAILURES), retry_after=retry_after)


class TwoFactorEnabled(Conflict):
    """The account has a second factor already."""

    code = "two_factor_enabled"

    def __init__(self) -> None:
        super().__init__("Two-factor authentication is already on. Turn it off first to set it up again.")


@dataclass(frozen=True)
class Enrolment:
    """The secret for an authenticator app; `uri` is the content of its QR code."""

    secret: str
    uri: str


@dataclass(frozen=True)
class TwoFactorStatus:
    """The state of a user's second factor."""

    enabled: bool
    confirmed_at: datetime | None
    recovery_codes_left: int


def status(session: Session, user_id: UUID) -> TwoFactorStatus:
    """Whether a user has a second factor, since when, and how many recovery codes are left."""
    row = session.get(TwoFactor, user_id)
    if row is None or row.confirmed_at is None:
        return TwoFactorStatus(enabled=False, confirmed_at=None, recovery_codes_left=0)
    return TwoFactorStatus(enabled=True, confirmed_at=row.confirmed_at, recovery_codes_left=len(row.recovery_hashes))


def is_enabled(session: Session, user_id: UUID) -> bool:
    """Whether the user has a confirmed second factor."""
    confirmed = select(TwoFactor.user_id).where(TwoFactor.user_id == user_id, TwoFactor.confirmed_at.is_not(None))
    return session.scalar(confirmed) is not None


def begin(session: Session, user: User, *, vault: Vault) -> Enrolment:
    """Make a secret, which takes effect once a code of it is confirmed; raises `TwoFactorEnabled`."""
    secret = pyotp.random_base32()
    sealed = _seal(secret, user.id, vault) | {"created_at": func.now(), "updated_at": func.now(), "last_step": None}
    row = insert(TwoFactor).values(user_id=user.id, **sealed)
    replaced = row.on_conflict_do_update(
        index_elements=[TwoFactor.user_id], set_=sealed, where=TwoFactor.confirmed_at.is_(None)
    )
    if session.scalar(replaced.returning(TwoFactor.user_id)) is None:
        raise TwoFactorEnabled
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER))


def confirm(session: Session, user_id: UUID, code: str, *, vault: Vault, now: datetime | None = None) -> list[str]:
    """Turn the factor on with a first code of its app; returns the recovery codes, or none if the code is wrong.

    Raises:
        NotFound: no factor was set up.
        TwoFactorEnabled: the factor is already on.
        TooManyCodes: too many codes were wrong.
    """
    row = _locked(session, user_id)
    if row is None:
        raise NotFound("two-factor setup")
    if row.confirmed_at is not None:
        raise TwoFactorEnabled
    if not _check(session, row, code, vault, now or datetime.now(UTC)):
        return []
    row.confirmed_at = func.clock_timestamp()
    codes = _renewed(row)
    session.flush()
    notify(session, user_id, "enabled")
    return codes


def accepts(session: Session, user_id: UUID, code: str, *, vault: Vault, now: datetime | None = None) -> bool:
    """Whether `code` is a valid code of this user's app or a recovery code; it cannot be used again.

    A wrong code is counted, so the caller has to commit even if it rejects the request. Raises `TooManyCodes`.
    """
    row = _locked(session, user_id)
    if row is None or row.confirmed_at is None:
        return False
    return _check(session, row, code, vault, now or datetime.now(UTC))


def renew_recovery_codes(session: Session, user_id: UUID) -> list[str]:
    """Replace all recovery codes and return the new ones; raises `NotFound`."""
    row = _locked(session, user_id)
    if row is None or row.confirmed_at is None:
        raise NotFound("second factor")
    codes = _renewed(row)
    session.flush()
    notify(session, user_id, "renewed")
    return codes


def remove(session: Session, user_id: UUID, *, change: str = "disabled") -> None:
    """Turn the factor off and notify the user; `change` is `disabled`, or `removed` by an administrator.

    Raises `NotFound`.
    """
    confirmed = delete(TwoFactor).where(TwoFactor.user_id == user_id, TwoFactor.confirmed_at.is_not(None))
    if session.scalar(confirmed.returning(TwoFactor.user_id)) is None:
        raise NotFound("second factor")
    notify(session, user_id, change)


def notify(session: Session, user_id: UUID, change: str) -> Sequence[UUID]:
    """Notify the user of a change of their second factor; returns the ids of the messages to publish."""
    return notifications.add(
        session, user_id, NotificationKind.TWO_FACTOR, {"change": change}, key=f"two-factor:{uuid4()}"
    )


def rotate(session: Session, *, vault: Vault, after: UUID | None, limit: int = 200, dry_run: bool = False) -> Rotated:
    """Seal the next `limit` secrets again that were not sealed with the ring's first key, in the order of user ids.

    Secrets that cannot be opened are counted and left.
    """
    query = select(TwoFactor).where(TwoFactor.key_id != vault.current, *([TwoFactor.user_id > after] if after else []))
    rows = session.scalars(query.order_by(TwoFactor.user_id).limit(limit).with_for_update()).all()
    unreadable = 0
    for row in rows:
        try:
            sealed = _seal(_opened(row, vault), row.user_id, vault)
        except SecretUnreadable:
            unreadable += 1
            continue
        if not dry_run:
            session.execute(update(TwoFactor).where(TwoFactor.user_id == row.user_id).values(sealed))
    return Rotated(len(rows) - unreadable, unreadable, rows[-1].user_id if len(rows) == limit else None)


def _locked(session: Session, user_id: UUID) -> TwoFactor | None:
    query = select(TwoFactor).where(TwoFactor.user_id == user_id).with_for_update()
    return session.scalar(query.execution_options(populate_existing=True))


def _check(session: Session, row: TwoFactor, code: str, vault: Vault, now: datetime) -> bool:
    """Check a code against a locked row, and count it if it is wrong."""
    is_recent = row.failed_at is not None and row.failed_at > now - FAILURE_WINDOW
    if row.failed_at is not None and is_recent and row.failures >= MAX_FAILURES:
        raise TooManyCodes((row.failed_at + FAILURE_WINDOW - now).total_seconds())
    if _use(session, row, "".join(code.replace("-", "").split()).lower(), vault, now):
        row.failures, row.failed_at = 0, None
        session.flush()
        return True
    row.failures = row.failures + 1 if is_recent else 1
    row.failed_at = now
    session.flush()
    if row.failures == MAX_FAILURES and row.confirmed_at is not None:
        notify(session, row.user_id, "blocked")
    return False


def _use(session: Session, row: TwoFactor, code: str, vault: Vault, now: datetime) -> bool:
    if len(code) == RECOVERY_LENGTH:
        return _use_recovery_code(session, row, code)
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        return False
    totp, current = pyotp.TOTP(_opened(row, vault), interval=STEP_SECONDS), int(now.timestamp()) // STEP_SECONDS
    first = max(current - DRIFT_STEPS, -1 if row.last_step is None else row.last_step + 1)
    for step in range(first, current + DRIFT_STEPS + 1):
        if compare_digest(totp.at(step * STEP_SECONDS), code):
            row.last_step = step
            return True
    return False


def _use_recovery_code(session: Session, row: TwoFactor, code: str) -> bool:
    used = _hash(code)
    if used not in row.recovery_hashes:
        return False
    row.recovery_hashes = [kept for kept in row.recovery_hashes if kept != used]
    notify(session, row.user_id, "recovery_used")
    return True


def _renewed(row: TwoFactor) -> list[str]:
    plain = ["".join(secrets.choice(RECOVERY_LETTERS) for _ in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
    row.recovery_hashes = [_hash(code) for code in plain]
    return ["-".join(code[start : start + 4] for start in range(0, RECOVERY_LENGTH, 4)) for code in plain]


def _seal(secret: str, user_id: UUID, vault: Vault) -> dict[str, object]:
    sealed = vault.encrypt(secret, user_id=user_id, provider=CONTEXT, row_id=user_id)
    return {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}


def _opened(row: TwoFactor, vault: Vault) -> str:
    sealed = Sealed(row.key_id, row.nonce, row.ciphertext)
    return vault.decrypt(sealed, user_id=row.user_id, provider=CONTEXT, row_id=row.user_id)


def _hash(code: str) -> bytes:
    """Hash a recovery code; its 80 random bits need no slow hash."""
    return hashlib.sha256(b"agentforge recovery code v1:" + code.encode()).digest()
