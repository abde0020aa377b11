"""Counts the workers' writes about a run, and kills a worker right before or right after the commit of a given write.

A run whose input has a `tag`, and its child runs with that tag, are counted together, over all
processes. `TAG.writes` lists the writes: number, process, contents, and `committed` after the commit. A test requests a
death with `TAG.kill`: a number, and `before` or `after`.
"""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session

from models.db import SessionFactory
from models.services.orchestration import children, journal, leases, redelivery
from models.services.orchestration.journal import Progress

_TAGS: dict[UUID, str] = {}  # of the runs that this process knows


@dataclass(frozen=True)
class Write:
    """One transaction that wrote about a run."""

    number: int
    pid: int
    words: tuple[str, ...]
    committed: bool


class Ledger:
    """The file in which all processes record their writes about the runs of one tag."""

    def __init__(self, directory: Path, tag: str) -> None:
        self._writes = directory / f"{tag}.writes"
        self._kill = directory / f"{tag}.kill"

    def ask(self, number: int, moment: str) -> None:
        """Let the process that makes the write of this number die `before` or `after` its commit."""
        self._kill.write_text(f"{number} {moment}")

    def writes(self) -> list[Write]:
        """The writes so far, in order."""
        if not self._writes.exists():
            return []
        lines = [line.split("\t") for line in self._writes.read_text().splitlines()]
        committed = {line[0] for line in lines if line[1] == "committed"}
        begun = [line for line in lines if line[1] != "committed"]
        return [Write(int(n), int(pid), tuple(words.split("|")), n in committed) for n, pid, words in begun]

    def begin(self, words: list[str]) -> int:
        """Count a write, in a worker before its commit, and return its number; the worker may die here."""
        with self._locked() as file:
            number = 1 + sum("committed" not in line for line in file)
            file.write(f"{number}\t{os.getpid()}\t{'|'.join(words)}\n")
        self._die(number, "before")
        return number

    def commit(self, number: int) -> None:
        """Record a commit, in a worker after it; the worker may die here."""
        with self._locked() as file:
            file.write(f"{number}\tcommitted\n")
        self._die(number, "after")

    def _die(self, number: int, moment: str) -> None:
        if self._kill.exists() and self._kill.read_text() == f"{number} {moment}":
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        with self._writes.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            yield file


def count_writes(directory: Path) -> None:
    """Let this worker count its writes, and die where that is requested."""
    journal.is_one_statement = lambda _: False  # in a session there is a moment right before the commit
    leases.claim_alone = lambda *_, **__: None  # likewise
    leases.claim = _saying(leases.claim, _of_claim)
    journal.record = _saying(journal.record, _of_batch)
    children.start = _saying(children.start, lambda _, lease, wanted: [(lease.execution_id, "starts a child")])
    for name in ("release", "answers"):
        said = f"lease: {name}"
        function = getattr(leases, name)
        setattr(leases, name, _saying(function, lambda _, lease, said=said, **how: [(lease.execution_id, said)]))
    for name in ("next_after", "woken_by", "requeue"):
        setattr(redelivery, name, _alone(getattr(redelivery, name), directory, f"bells: {name}"))

    def before(session: Session) -> None:
        if not session.in_nested_transaction():
            said: dict[str, list[str]] = session.info.pop("said", {})
            begun = [(tag, Ledger(directory, tag).begin(words)) for tag, words in said.items()]
            session.info.setdefault("numbers", []).extend(begun)

    def after(session: Session) -> None:
        for tag, number in session.info.pop("numbers", ()):
            Ledger(directory, tag).commit(number)

    event.listen(SessionFactory, "before_commit", before)
    event.listen(SessionFactory, "after_commit", after, insert=True)


def _saying(function: Callable[..., Any], of: Callable[..., list[tuple[UUID, str]]]) -> Callable[..., Any]:
    """Wrap `function` so that the session remembers what it writes about which runs."""

    @wraps(function)
    def wrapped(session: Session, *args: Any, **kwargs: Any) -> Any:
        result = function(session, *args, **kwargs)
        _remember(session, of(result, *args, **{} if of is _of_claim else kwargs))
        return result

    return wrapped


def _alone(function: Callable[[UUID], Any], directory: Path, words: str) -> Callable[[UUID], Any]:
    """Wrap a `function` of a run that is a transaction of its own."""

    @wraps(function)
    def wrapped(execution_id: UUID) -> Any:
        tag = _TAGS.get(execution_id)
        number = Ledger(directory, tag).begin([words]) if tag else 0
        result = function(execution_id)
        if tag:
            Ledger(directory, tag).commit(number)
        return result

    return wrapped


def _remember(session: Session, said: list[tuple[UUID, str]]) -> None:
    for execution_id, words in said:
        if tag := _TAGS.get(execution_id):
            session.info.setdefault("said", {}).setdefault(tag, []).append(words)


def _of_claim(lease: Any, execution_id: UUID) -> list[tuple[UUID, str]]:
    if lease is None or not isinstance(lease.input, dict) or "tag" not in lease.input:
        return []
    _TAGS[execution_id] = lease.input["tag"]
    return [(execution_id, "claims a child" if lease.depth else "claims")]


def _of_batch(_: Any, batch: list[Progress]) -> list[tuple[UUID, str]]:
    return [(progress.execution_id, words) for progress in batch for words in _words(progress)]


def _words(progress: Progress) -> list[str]:
    said = [f"{row.step.node_id}{row.step.path and f'[{row.step.path}]'} {row.status}" for row in progress.nodes]
    return said + ([f"ends: {progress.ending.status}"] if progress.ending else []) or ["events"]
