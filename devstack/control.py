"""Starting the stack once, finding the one that runs, and stopping it.

Whoever runs a stack holds the lock file of its directory, so there is never a second one; what it listens on
is in `stack.json` beside it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.log import Log, wants_colour
from devstack.process import DevstackError, try_lock, wait_until, write_private
from devstack.stack import ROOT, Stack
from devstack.supervisor import Supervisor

READY_SECONDS = 180.0
STOP_SECONDS = 90.0


@dataclass(frozen=True)
class Running:
    """A stack that runs: whose process it is, whether all of it is up, and where."""

    pid: int
    ready: bool
    addresses: dict[str, str]  # as `Stack.addresses` names them

    def __str__(self) -> str:
        at = self.addresses
        mail = f"\n  Mail     {at['mail']}   what users would have been sent" if "mail" in at else ""
        return (
            f"  API      {at['api']}\n"
            f"  Flower   {at['flower']}   user {at['flower_user']}, password {at['flower_password']}{mail}"
        )


def stack_directory(env: Mapping[str, str] = os.environ) -> Path:
    """Where the stack keeps its data: DEVSTACK_DIR, or `.devstack` in the checkout."""
    return Path(env.get("DEVSTACK_DIR") or ROOT / ".devstack").absolute()


def running(directory: Path) -> Running | None:
    """The stack that runs on `directory`, or None."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = try_lock(directory / "stack.lock")
    if lock is not None:
        os.close(lock)
        return None
    try:
        return Running(**json.loads((directory / "stack.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError):  # it holds the lock and is about to write the file
        return Running(pid=0, ready=False, addresses={})


def run(directory: Path, env: Mapping[str, str]) -> int:
    """Run the stack in this process until a signal comes, unless one runs already; returns the exit status."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = try_lock(directory / "stack.lock")
    if lock is None:
        print(f"AgentForge runs already; `make down` stops it.\n{await_ready(directory)}")
        return 0
    state = directory / "stack.json"
    try:
        stack = Stack(directory, env)
        write_private(state, json.dumps({"pid": os.getpid(), "ready": False, "addresses": {}}))
        programs = stack.programs()
        log = Log([program.name for program in programs], colour=wants_colour(sys.stdout, env))
        for notice in stack.notices:
            log.say(notice)

        def announce() -> None:
            running = Running(os.getpid(), True, stack.addresses())
            write_private(state, json.dumps(running.__dict__))
            log.say(f"\nAgentForge runs.\n{running}\n  Ctrl-C or `make down` stops it.\n")

        return Supervisor(programs, log, on_ready=announce).run()
    finally:
        state.unlink(missing_ok=True)
        os.close(lock)


def ensure_up(directory: Path, env: Mapping[str, str]) -> Running:
    """The stack that runs on `directory`; if none does, start one in the background, with its log in `stack.log`.

    Raises `DevstackError` when it does not become ready.
    """
    if running(directory) is None:
        with (directory / "stack.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "devstack", "up"],
                cwd=ROOT,
                env=dict(env) | {"DEVSTACK_DIR": str(directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=process.wait, daemon=True).start()  # whenever it ends, it is no zombie of ours
        return await_ready(directory, process)
    return await_ready(directory)


def await_ready(directory: Path, process: subprocess.Popen[bytes] | None = None) -> Running:
    """Wait until the stack that somebody, maybe `process`, is starting is ready; raises `DevstackError`."""
    found: Running | None = None

    def ready() -> bool:
        nonlocal found
        found = running(directory)
        gone = found is None if process is None else process.poll() is not None
        if gone:
            raise DevstackError(f"The stack does not start.\n{_end_of_log(directory)}")
        return found is not None and found.ready

    wait_until(ready, seconds=READY_SECONDS, otherwise=lambda: f"The stack is not ready.\n{_end_of_log(directory)}")
    if found is None:
        raise DevstackError("The stack is gone.")
    return found


def stop(directory: Path) -> bool:
    """Stop the stack that runs on `directory` and wait for its end; False when there is none."""
    found = running(directory)
    if found is None:
        return False
    wait_until(lambda: _pid(directory) != 0, seconds=5, otherwise=lambda: "The stack's process is unknown.")
    if pid := _pid(directory):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: running(directory) is None, seconds=STOP_SECONDS, otherwise=lambda: "The stack does not stop.")
    return True


def _pid(directory: Path) -> int | None:
    found = running(directory)
    return found.pid if found else None


def _end_of_log(directory: Path) -> str:
    try:
        lines = (directory / "stack.log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "It wrote no log."
    return "\n".join(lines[-15:])
