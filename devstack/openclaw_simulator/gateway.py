"""The gateway's memory and its durable half: runs, keys, sockets, restarts."""

import asyncio
import contextlib
import uuid
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devstack.openclaw_simulator import runs
from devstack.openclaw_simulator.directives import parse
from devstack.openclaw_simulator.ledger import Ledger
from devstack.openclaw_simulator.runs import Run, Runner

if TYPE_CHECKING:
    from devstack.openclaw_simulator.sockets import Socket

Payload = dict[str, Any]
DEDUPE_ENTRIES = 1000
DEDUPE_SECONDS = 300.0
COOLDOWN_SECONDS = 60.0


@dataclass
class Options:
    """How the simulator behaves; times in seconds."""

    token: str = "development-token"
    agents: tuple[str, ...] = ("flow", "main")
    remote: bool = False
    cap: int = 8
    delay: float = 0.2
    retry_scale: float = 0.002  # of the real waits between a gateway's own retries
    second: float = 1.0  # how long a second of a run's `timeout` lasts
    ghost_delay: float = 15.0
    downtime: float = 0.5  # how long a restart refuses connections
    startup: float = 0.0  # how long after that it says that it is still starting
    lockout: bool = False  # count wrong tokens, as a gateway off loopback does
    grants_scopes: bool = True
    state: str | None = None


class Gateway:
    """Everything lives in one event loop; `boot` is called again after each crash."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.delay, self.retry_scale, self.second = options.delay, options.retry_scale, options.second
        self.ledger = Ledger(options.state)
        self.calls: list[Payload] = []  # every turn that a real gateway would have paid for
        self.seen: Counter[str] = Counter()
        self.sockets: set[Socket] = set()
        self.paired: dict[str, str] = {}
        self.pending: dict[str, str] = {}
        self.restart_now = asyncio.Event()
        self.boot()

    def boot(self) -> None:
        """A new process: nothing is remembered but the ledger and who is paired."""
        self.boot_id = str(uuid.uuid4())
        self.runs: dict[str, Run] = {}
        self.owners: dict[str, tuple[Socket, str]] = {}
        self.keys: OrderedDict[str, tuple[float, Run]] = OrderedDict()
        self.cap = asyncio.Semaphore(self.options.cap)
        self.locks: dict[str, asyncio.Lock] = {}
        self.draining = False
        self.cooling_until = 0.0
        self.wrong_tokens = 0
        self.ready_at = self.now() + self.options.startup
        self.interrupted: set[str] = set()
        for row in self.ledger.interrupt():
            self.interrupted.add(row["sessionKey"])
            asyncio.get_running_loop().call_later(self.options.ghost_delay, self._haunt, row, self.boot_id)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def _haunt(self, row: Payload, boot_id: str) -> None:
        if boot_id == self.boot_id:
            self.interrupted.discard(row["sessionKey"])
            self.start(runs.ghost_of(row, 600.0))

    # -- runs --------------------------------------------------------------------------------------------------------

    def make_run(self, key: str, session_key: str, message: str, system: str, timeout: float, *, ledgered: bool) -> Run:
        wishes = parse(message, self.seen)
        return Run(key, session_key, message, system, timeout, wishes, ledgered=ledgered)

    def start(self, run: Run, owner: "tuple[Socket, str] | None" = None) -> None:
        """Let a run go; the owner gets its last response."""
        self.runs[run.id] = run
        if owner:
            self.owners[run.id] = owner
        runner = Runner(self, run)
        runner.task("queued")
        run.task = asyncio.create_task(runner.play())

    def remember(self, key: str, run: Run) -> None:
        self.keys[key] = (self.now() + DEDUPE_SECONDS, run)
        while len(self.keys) > DEDUPE_ENTRIES:
            self.keys.popitem(last=False)

    def known(self, key: str) -> Run | None:
        """The run of this key, whatever else the request says: keys are global."""
        until, run = self.keys.get(key, (0.0, None))
        return run if until > self.now() else None

    def active_in(self, session_key: str, run_id: str | None) -> list[Run]:
        return [
            run
            for run in self.runs.values()
            if run.session_key == session_key and run_id in (None, run.id) and not run.done.is_set()
        ]

    def session_lock(self, session_key: str) -> asyncio.Lock:
        return self.locks.setdefault(session_key, asyncio.Lock())

    def respond(self, run: Run) -> None:
        owner = self.owners.pop(run.id, None)
        if owner and run.response:
            owner[0].respond(owner[1], *run.response)

    def cool_down(self) -> None:
        self.cooling_until = self.now() + COOLDOWN_SECONDS

    # -- sockets and restarts ----------------------------------------------------------------------------------------

    def broadcast(self, event: str, payload: Payload, *, tools: bool = False) -> None:
        """Every connection that may read hears of every run."""
        for socket in list(self.sockets):
            if "operator.read" in socket.scopes and (not tools or "tool-events" in socket.caps):
                socket.event(event, payload)

    def drop_sockets(self) -> None:
        """Cut every connection, and go on running."""
        for socket in list(self.sockets):
            socket.cut()

    def crash_soon(self) -> None:
        self.restart_now.set()

    async def crash(self) -> None:
        """SIGKILL: runs die without a word."""
        dying = [run.task for run in self.runs.values() if run.task and not run.done.is_set()]
        self.drop_sockets()
        for task in dying:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*dying, return_exceptions=True)

    async def drain(self, budget: float = 5.0) -> None:
        """SIGTERM: say so, take nothing new, let running turns end, then close."""
        self.draining = True
        for socket in list(self.sockets):
            socket.event("shutdown", {"reason": "gateway-restarting"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(budget):
                for run in list(self.runs.values()):
                    await run.done.wait()
        for socket in list(self.sockets):
            socket.close(1012, "service restart")
