"""The phases of a driver and their transitions.

    RUNNING ──> STOPPING ──────> CLOSING ──> LEFT
       │            │               │ ^
       └────────────┴─> SHUTTING_DOWN ┘

CLOSING goes back when its write was refused. A driver that loses the run goes to LEFT from any phase.
"""

from collections.abc import Mapping
from enum import StrEnum


class DriverPhase(StrEnum):
    """A phase of a driver."""

    RUNNING = "running"  # steps begin as they become ready
    STOPPING = "stopping"  # the run ends early: nothing begins, and calls in progress are stopped
    SHUTTING_DOWN = "shutting_down"  # the process shuts down: nothing begins, and the last results are awaited
    CLOSING = "closing"  # the last write is pending
    LEFT = "left"


TRANSITIONS: Mapping[DriverPhase, frozenset[DriverPhase]] = {
    DriverPhase.RUNNING: frozenset(DriverPhase) - {DriverPhase.RUNNING},
    DriverPhase.STOPPING: frozenset({DriverPhase.SHUTTING_DOWN, DriverPhase.CLOSING, DriverPhase.LEFT}),
    DriverPhase.SHUTTING_DOWN: frozenset({DriverPhase.CLOSING, DriverPhase.LEFT}),
    DriverPhase.CLOSING: frozenset({DriverPhase.STOPPING, DriverPhase.SHUTTING_DOWN, DriverPhase.LEFT}),
    DriverPhase.LEFT: frozenset(),
}


class ImpossibleTransition(RuntimeError):
    """A driver made a transition that is not allowed: a bug."""

    def __init__(self, current: DriverPhase, following: DriverPhase) -> None:
        super().__init__(f"{following} cannot follow {current}")


def next_phase(current: DriverPhase, following: DriverPhase) -> DriverPhase:
    """Check a transition; raises `ImpossibleTransition`."""
    if following not in TRANSITIONS[current]:
        raise ImpossibleTransition(current, following)
    return following
