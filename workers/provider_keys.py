"""Test a key that a user stored at its provider, and record the result."""

from uuid import UUID

import structlog

from models.db import session_scope
from models.services.accounts import provider_keys
from models.tables import KeyStatus
from models.vault import SecretUnreadable, Vault
from workers.gateways.base import CallFailed
from workers.gateways.providers import Providers

log = structlog.get_logger()


def try_out(row_id: UUID, providers: Providers, vault: Vault) -> None:
    """Test one key, unless that was done or the key is gone; no transaction is open during the provider's call."""
    try:
        with session_scope() as session:
            candidate = provider_keys.candidate(session, row_id, vault=vault)
    except SecretUnreadable as error:
        log.error("key.unreadable", key_row=str(row_id), error=error.detail)
        return
    if candidate is None:
        return
    try:
        status = KeyStatus.VALID if providers.accepts(candidate.provider, candidate.secret) else KeyStatus.INVALID
    except CallFailed as failure:
        status = KeyStatus.UNREACHABLE
        log.warning("key.not_tested", key_row=str(row_id), provider=candidate.provider, code=failure.code)
    with session_scope() as session:
        provider_keys.record_test(session, candidate, status)
