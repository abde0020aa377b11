"""Parts of periodic tasks: each has a transaction of its own, and its failure does not delay the others."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from models.db import session_scope

T = TypeVar("T")


def run_each(*parts: Callable[[], object]) -> None:
    """Run every part even if others fail; raises `ExceptionGroup` with the failures."""
    failures = []
    for part in parts:
        try:
            part()
        except Exception as error:
            failures.append(error)
    if failures:
        raise ExceptionGroup("some parts failed, the others are done", failures)


def in_transaction(part: Callable[[Session], T]) -> T:
    """Run a part in a transaction and return its result."""
    with session_scope() as session:
        return part(session)
