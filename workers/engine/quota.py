"""Asks before a call whether the month's allowance covers it."""

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.rules.schedule import Step
from models.services import accounts, api_calls
from models.services.api_calls import CallsUsed
from models.services.leases import Lease
from workers.gateways.base import CallFailed, Cancel

log = structlog.get_logger()

ASK_AGAIN = 1.0  # seconds after which an unreachable database is asked again
MANY = 100  # calls after which a driver asks again whether there still is no limit


class Allowance:
    """What one driver may call. Thread-safe."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        # Where there is no limit, asking for each call would cost more than the rest of it. Threads that take one of
        # these at the same moment make a few calls more until they ask again, which is of no account.
        self._calls_free = 0

    def shortage(self, step: Step, cancel: Cancel) -> CallsUsed | None:
        """None when `step` may call; otherwise what was used. Blocks while the database is away.

        Raises `CallFailed` when `cancel` is set meanwhile.
        """
        if self._calls_free > 0:
            self._calls_free -= 1
            return None
        while True:
            try:
                return self._ask(step)
            except (OperationalError, PoolTimeout) as error:
                log.warning("call.not_counted", execution_id=str(self._lease.execution_id), error=type(error).__name__)
            if cancel.wait(ASK_AGAIN):
                raise CallFailed("cancelled", "Cancelled before it was sent.", outcome="cancelled")

    def _ask(self, step: Step) -> CallsUsed | None:
        user_id, execution_id = self._lease.user_id, self._lease.execution_id
        with session_scope() as session:
            if api_calls.unlimited(session, user_id):
                self._calls_free = MANY
                return None
            if api_calls.reserve(session, user_id, execution_id, step.node_id, step.path):
                return None
            owner = accounts.find(session, user_id)
            return api_calls.used(session, user_id, owner.subscription_tier) if owner else None
