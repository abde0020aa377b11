"""Decides whether and when calls and child runs are retried."""

from dataclasses import dataclass

from models.rules.graph.graph import Retry
from workers.engine.attempts.limiter import LONG_PAUSE, OUTAGE_PAUSE, OUTAGES, REFUSALS
from workers.engine.values.attempt import StepAttempt
from workers.gateways.base import CallFailed

UNCOUNTED_RETRIES = 20  # of an overloaded provider, which do not count as attempts


@dataclass(frozen=True)
class RetryDecision:
    """Whether and how a failed attempt is followed by another try.

    Args:
        retries: whether there is another try.
        delay_seconds: seconds until it.
        is_counted: whether it counts as one of the node's attempts.
        reattaches: whether it is the same attempt, which asks for the outcome of the call that was sent.
        sentence: says when and why, for people.
    """

    retries: bool
    delay_seconds: float = 0.0
    is_counted: bool = True
    reattaches: bool = False
    sentence: str = ""

    @property
    def parks(self) -> bool:
        """Whether the pause is so long that the step waits as a row."""
        return self.delay_seconds > LONG_PAUSE


NO_RETRY = RetryDecision(retries=False)


def after_failed_call(attempt: StepAttempt, failure: CallFailed, *, chance: float) -> RetryDecision:
    """Decide after a failed call; `chance` (0 to 1) spreads the delay."""
    if failure.code in OUTAGES:
        if attempt.in_flight_ref:  # an earlier driver sent it, and only the gateway knows its outcome
            return RetryDecision(True, LONG_PAUSE / 2, is_counted=False, reattaches=True)
        sentence = "Waits for OpenClaw; this is not counted as an attempt."
        return RetryDecision(True, OUTAGE_PAUSE, is_counted=False, sentence=sentence)
    if attempt.queued_call and failure.code in REFUSALS and attempt.throttled < UNCOUNTED_RETRIES:
        # The provider refused the call for overload, which is not the node's fault.
        return RetryDecision(
            True, is_counted=False, sentence="Waits in the provider's queue; this is not counted as an attempt."
        )
    if not attempt.may_repeat(failure):
        return NO_RETRY
    return _after(attempt.retry.delay(attempt.number, chance=chance, asked=failure.retry_after))


def after_failed_run(retry: Retry, number: int, *, retryable: bool, chance: float) -> RetryDecision:
    """Decide after a failed child run; `number` is the number of that attempt."""
    if not retryable or number >= retry.max_attempts:
        return NO_RETRY
    return _after(retry.delay(number, chance=chance))


def _after(seconds: float) -> RetryDecision:
    return RetryDecision(True, seconds, sentence=f"Next attempt in {seconds:.1f} s.")
