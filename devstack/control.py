"""Start the stack once, find the one that runs, and stop it.

The process that runs a stack holds the lock file of its directory, so there is never a second one; its addresses are
in `stack.json` beside it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devstack.processes.log import Log, wants_colour
from devstack.processes.process import DevstackError, locked, try_lock, wait_until, write_private
from devstack.processes.supervisor import Supervisor
from devstack.servers.ports import reserved_ports
from devstack.stack import ROOT, Stack

READY_SECONDS = 180.0
STOP_SECONDS = 90.0
_OTHERS = {"stripe_simulator": "Stripe", "openclaw": "OpenClaw", "ai_simulator": "AI"}


@dataclass(frozen=True)
class RunningStack:
    """A stack that runs: its process, whether all of it is ready, and its addresses."""

    pid: int
    ready: bool
    addresses: dict[str, str]  # as `Stack.addresses` names them
    notices: list[str] = field(default_factory=list)  # sentences about ports that differ from the defaults

    def __str__(self) -> str:
        at = self.addresses
        lines = [
            f"API      {at['api']}",
            f"Metrics  {at['metrics']}",
            f"Flower   {at['flower']}   user {at['flower_user']}, password {at['flower_password']}",
        ]
        if "console" in at:
            demo = f"   demo user {at['demo_user']}, password {at['demo_password']}" if "demo_user" in at else ""
            lines.insert(0, f"Console  {at['console']}{demo}")
        if "mail" in at:
            lines.append(f"Mail     {at['mail']}   mails to users, caught")
        others = [f"{word} {at[name]}" for name, word in _OTHERS.items() if name in at]
        lines.append(f"Others   {', '.join(others)}")
        return "\n".join(f"  {line}" for line in [*lines, *self.notices])


def stack_directory(env: Mapping[str, str] = os.environ) -> Path:
    """The directory of the stack's data: DEVSTACK_DIR, or `.devstack` in the checkout."""
    return Path(env.get("DEVSTACK_DIR") or ROOT / ".devstack").absolute()


def running(directory: Path) -> RunningStack | None:
    """The stack that runs in `directory`, or None."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = try_lock(directory / "stack.lock")
    if lock is not None:
        os.close(lock)
        return None
    try:
        return RunningStack(**json.loads((directory / "stack.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError):  # it holds the lock and is about to write the file
        return RunningStack(pid=0, ready=False, addresses={})


def run(directory: Path, env: Mapping[str, str]) -> int:
    """Run the stack in this process until a signal comes, unless one runs already; return the exit status."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = try_lock(directory / "stack.lock")
    if lock is None:
        print(f"AgentForge runs already; `make down` stops it.\n{await_ready(directory)}")
        return 0
    state = directory / "stack.json"
    try:
        write_private(state, json.dumps(asdict(RunningStack(os.getpid(), False, {}))))
        with reserved_ports(env) as (ports, notices):
            return _supervise(Stack(directory, env, ports), notices, state, colour=wants_colour(sys.stdout, env))
    finally:
        state.unlink(missing_ok=True)
        os.close(lock)


def _supervise(stack: Stack, notices: list[str], state: Path, *, colour: bool) -> int:
    programs = stack.programs()
    log = Log([program.name for program in programs], colour=colour)

    def announce() -> None:
        running = RunningStack(os.getpid(), True, stack.addresses(), notices)
        write_private(state, json.dumps(asdict(running)))
        log.say(f"\nAgentForge runs.\n{running}\n  Ctrl-C or `make down` stops it.\n")

    return Supervisor(programs, log, on_ready=announce).run()


def ensure_up(directory: Path, env: Mapping[str, str]) -> RunningStack:
    """Return the stack that runs in `directory`, or start one in the background that logs to `stack.log`.

    Raises `DevstackError` when it does not become ready.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(directory / "start.lock"):  # concurrent callers wait for the one that is started here
        process = None if running(directory) else _start(directory, env)
        wait_until(
            lambda: running(directory) is not None or (process is not None and process.poll() is not None),
            seconds=READY_SECONDS,
            otherwise=lambda: f"The stack does not start.\n{_end_of_log(directory)}",
        )
    return await_ready(directory)


def _start(directory: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
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
    threading.Thread(target=process.wait, daemon=True).start()  # reaps it when it ends
    return process


def await_ready(directory: Path) -> RunningStack:
    """Wait until a stack that is starting is ready; raises `DevstackError`."""
    found: RunningStack | None = None

    def ready() -> bool:
        nonlocal found
        found = running(directory)
        if found is None:
            raise DevstackError(f"The stack does not start.\n{_end_of_log(directory)}")
        return found is not None and found.ready

    wait_until(ready, seconds=READY_SECONDS, otherwise=lambda: f"The stack is not ready.\n{_end_of_log(directory)}")
    if found is None:
        raise DevstackError("The stack has stopped.")
    return found


def stop(directory: Path) -> bool:
    """Stop the stack that runs in `directory` and wait for its end; False when there is none."""
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
