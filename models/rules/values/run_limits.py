"""Limits of one run, as sums over the whole run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunResourceLimits:
    """The steps that a run's expressions may take in their sandbox, and the bytes that it may store."""

    fuel: int = 20_000_000_000  # three to ten seconds of a processor
    bytes: int = 64 * 1024 * 1024


RUN_LIMITS = RunResourceLimits()
