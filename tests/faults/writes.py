"""Counts what workers write of a run, and kills one right before or right after the commit of the write of a number.

A run whose input has a `tag`, and the runs that it starts and hands that tag to, are counted together, over all
processes. The test finds in `TAG.writes` what was written: a number, the process, what was said, and `committed` once
it was. It asks for a death with `TAG.kill`: a number, and `before` or `after`.
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
from models.services import children, journal, leases, sweeps
from models.services.journal import Progress

_TAGS: dict[UUID, str] = {}  # of the runs that this process has heard of


@dataclass(frozen=True)
class Write:
    """One transaction that said something of a run."""

    number: int
    pid: int
    words: tuple[str, ...]
    committed: bool


class Ledger:
    """The file in which all processes write down what they write of the runs of one tag."""

    def __init__(self, directory: Path, tag: str) -> None:
        self._writes = directory / f"{tag}.writes"
        self._kill = directory / f"{tag}.kill"

    def ask(self, number: int, moment: str) -> None:
        """Let whoever makes the write of this number die `before` or `after` its commit."""
        self._kill.write_text(f"{number} {moment}")

    def writes(self) -> list[Write]:
        """Those so far, in order."""
        if not self._writes.exists():
            return []
        lines = [line.split("\t") for line in self._writes.read_text().splitlines()]
        committed = {line[0] for line in lines if line[1] == "committed"}
        begun = [line for line in lines if line[1] != "committed"]
        return [Write(int(n), int(pid), tuple(words.split("|")), n in committed) for n, pid, words in begun]

    def begin(self, words: list[str]) -> int:
        """In a worker, before a commit: its number, unless the worker dies here."""
        with self._locked() as file:
            number = 1 + sum("committed" not in line for line in file)
            file.write(f"{number}\t{os.getpid()}\t{'|'.join(words)}\n")
        self._die(number, "before")
        return number

    def commit(self, number: int) -> None:
        """In a worker, after a commit; it may die here."""
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
    """Let this worker count what it writes, and die where it is asked to."""
    leases.claim = _saying(leases.claim, _of_claim)
    journal.record = _saying(journal.record, _of_batch)
    children.start = _saying(children.start, lambda _, lease, wanted: [(lease.execution_id, "starts a child")])
    for name in ("watch", "trust", "hand_over", "answers"):
        said = f"lease: {name}"
        function = getattr(leases, name)
        setattr(leases, name, _saying(function, lambda _, lease, said=said, **how: [(lease.execution_id, said)]))
    for name in ("following", "woken_by", "again"):
        said = f"bells: {name}"
        function = getattr(sweeps, name)
        setattr(sweeps, name, _saying(function, lambda _, execution_id, said=said: [(execution_id, said)]))

    def before(session: Session) -> None:
        if not session.in_nested_transaction():
            said: dict[str, list[str]] = session.info.pop("said", {})
            session.info["numbers"] = [(tag, Ledger(directory, tag).begin(words)) for tag, words in said.items()]

    def after(session: Session) -> None:
        for tag, number in session.info.pop("numbers", ()):
            Ledger(directory, tag).commit(number)

    event.listen(SessionFactory, "before_commit", before)
    event.listen(SessionFactory, "after_commit", after, insert=True)


def _saying(function: Callable[..., Any], of: Callable[..., list[tuple[UUID, str]]]) -> Callable[..., Any]:
    """`function`, remembering in the session what it says of which runs."""

    @wraps(function)
    def wrapped(session: Session, *args: Any, **kwargs: Any) -> Any:
        result = function(session, *args, **kwargs)
        for execution_id, words in of(result, *args, **{} if of is _of_claim else kwargs):
            if tag := _TAGS.get(execution_id):
                session.info.setdefault("said", {}).setdefault(tag, []).append(words)
        return result

    return wrapped


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
