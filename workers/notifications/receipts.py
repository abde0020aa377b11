"""Fetch Expo's receipts of accepted pushes: remove devices that are gone, count and log other errors."""

from collections.abc import Mapping

import structlog

from models.db import session_scope
from models.services.notifications import push_receipts
from workers.gateways.base import CallFailed
from workers.gateways.push import GONE, PushGateway

log = structlog.get_logger(__name__)


def collect(push: PushGateway) -> int:
    """Fetch one batch of due receipts; return the number of tickets. When Expo is unavailable they stay due."""
    with session_scope() as session:
        push_receipts.expire(session)
        tickets = push_receipts.claim(session)
    if not tickets:
        return 0
    try:
        errors = push.receipts(tickets)
    except CallFailed as failure:
        log.warning("push.receipts_unavailable", code=failure.code, reason=failure.detail, tickets=len(tickets))
        return len(tickets)
    _note(errors)
    return len(tickets)


def _note(errors: Mapping[str, str | None]) -> None:
    gone = [ticket for ticket, error in errors.items() if error == GONE]
    others = sorted(error for error in errors.values() if error not in (None, GONE))
    with session_scope() as session:
        push_receipts.remove_devices(session, gone)
        push_receipts.close(session, errors)
        for error in [GONE] * len(gone) + others:
            push_receipts.count(session, error)
    if others:
        log.warning("push.not_delivered", errors={error: others.count(error) for error in others})
