"""The resources that all drivers of a process share."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from models.services.orchestration.redelivery import TaskTarget
from workers.engine.attempts.effect_executor import EffectExecutor
from workers.engine.attempts.limiter import AdaptiveLimiter
from workers.engine.journal.progress_buffer import ProgressWriter

EnqueueRun = Callable[[TaskTarget], None]


@dataclass(frozen=True)
class EngineResources:
    """Thread-safe resources of a process.

    Args:
        cancel_pool: stops attempts, which may call a gateway while `pool` is full of calls that wait to be stopped.
        enqueue: called for every child run that a driver starts.
    """

    journal: ProgressWriter
    executor: EffectExecutor
    pool: Executor
    cancel_pool: Executor
    limiter: AdaptiveLimiter
    enqueue: EnqueueRun
