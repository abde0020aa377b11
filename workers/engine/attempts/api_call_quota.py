"""Checks the monthly call quota before each call."""

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.rules.executions.schedule import Step
from models.services.accounts import accounts
from models.services.credits import api_calls
from models.services.credits.api_calls import CallsUsed
from models.services.orchestration.leases import Lease
from workers.gateways.base import CallFailed, Cancel

log = structlog.get_logger()

RETRY_SECONDS = 1.0  # between tries while the database is unreachable
MANY = 100  # calls of a user without a limit, after which a driver checks for one again


class ApiCallQuota:
    """The call quota of one driver's user. Thread-safe."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        # For a user without a limit a query per call would cost more than the rest of the call. The counter is not
        # locked: concurrent threads may make a few calls more before the next check, which does not matter.
        self._calls_free = MANY if api_calls.is_unlimited(lease.tier) else 0

    def take_free(self) -> bool:
        """Take a call for which the database need not be asked; return whether there was one."""
        if self._calls_free <= 0:
            return False
        self._calls_free -= 1
        return True

    def exhausted(self, step: Step, request: int, cancel: Cancel) -> CallsUsed | None:
        """Return None when `step` may send its next request, else the calls used.

        Blocks while the database is unreachable; raises `CallFailed` when `cancel` is set meanwhile.
        """
        if self.take_free():
            return None
        while True:
            try:
                return self._ask(step, request)
            except (OperationalError, PoolTimeout) as error:
                log.warning("call.not_counted", execution_id=str(self._lease.execution_id), error=type(error).__name__)
            if cancel.wait(RETRY_SECONDS):
                raise CallFailed("cancelled", "Cancelled before it was sent.", outcome="cancelled", sent=False)

    def take_back(self, step: Step, request: int) -> None:
        """Uncount a request that was never sent. Best effort: if this fails, it stays counted."""
        execution_id = self._lease.execution_id
        try:
            with session_scope() as session:
                api_calls.return_call(session, execution_id, step.node_id, step.path, request)
        except (OperationalError, PoolTimeout) as error:
            log.warning("call.not_taken_back", execution_id=str(execution_id), error=type(error).__name__)

    def _ask(self, step: Step, request: int) -> CallsUsed | None:
        user_id, execution_id = self._lease.user_id, self._lease.execution_id
        with session_scope() as session:
            if api_calls.unlimited(session, user_id):
                self._calls_free = MANY
                return None
            if api_calls.reserve(session, user_id, execution_id, step.node_id, step.path, request):
                return None
            owner = accounts.find(session, user_id)
            return api_calls.used(session, user_id, owner.subscription_tier) if owner else None
