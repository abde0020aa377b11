"""The gateway's memory and its durable state: runs, keys, connections, restarts."""

import asyncio
import contextlib
import uuid
from collections import Counter, OrderedDict
from dataclasses import dataclass

from simulators.openclaw.connection import SocketConnection
from simulators.openclaw.directives import parse
from simulators.openclaw.ledger import Ledger
from simulators.openclaw.run import Run
from simulators.openclaw.wire import Payload

DEDUPE_ENTRIES = 1000
DEDUPE_SECONDS = 300.0
COOLDOWN_SECONDS = 60.0


@dataclass
class Options:
    """The simulator's options; times in seconds."""

    token: str = "development-token"
    agents: tuple[str, ...] = ("flow", "main")
    remote: bool = False
    cap: int = 8
    delay: float = 0.2
    retry_scale: float = 0.002  # of the real waits between a gateway's own retries
    second: float = 1.0  # how long a second of a run's `timeout` lasts
    orphan_delay: float = 15.0
    downtime: float = 0.5  # during which a restart refuses connections
    startup: float = 0.0  # after that, during which it reports that it is starting
    lockout: bool = False  # count wrong tokens, as a gateway off loopback does
    grants_scopes: bool = True
    state: str | None = None


class Gateway:
    """The gateway, in one event loop; `boot` is called again after each crash."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.delay, self.retry_scale, self.second = options.delay, options.retry_scale, options.second
        self.ledger = Ledger(options.state)
        self.calls: list[Payload] = []  # every turn for which a real gateway would have paid
        self.most_active = 0  # runs that had not ended, at a time
        self.seen: Counter[str] = Counter()
        self.connections: set[SocketConnection] = set()
        self.paired: dict[str, str] = {}
        self.pending: dict[str, str] = {}
        self.restart_now = asyncio.Event()
        self.boot()

    def boot(self) -> None:
        """Start a new process: only the ledger and paired devices are kept."""
        self.boot_id = str(uuid.uuid4())
        self.runs: dict[str, Run] = {}
        self.owners: dict[str, tuple[SocketConnection, str]] = {}
        self.keys: OrderedDict[str, tuple[float, Run]] = OrderedDict()
        self.cap = asyncio.Semaphore(self.options.cap)
        self.locks: dict[str, asyncio.Lock] = {}
        self.draining = False
        self.cooling_until = 0.0
        self.wrong_tokens = 0
        self.ready_at = self.now() + self.options.startup
        self.interrupted: set[str] = set()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    # -- runs --------------------------------------------------------------------------------------------------------

    def make_run(self, key: str, session_key: str, message: str, system: str, timeout: float, *, ledgered: bool) -> Run:
        directives = parse(message, self.seen)
        return Run(key, session_key, message, system, timeout, directives, ledgered=ledgered)

    def remember(self, key: str, run: Run) -> None:
        self.keys[key] = (self.now() + DEDUPE_SECONDS, run)
        while len(self.keys) > DEDUPE_ENTRIES:
            self.keys.popitem(last=False)

    def known(self, key: str) -> Run | None:
        """The run of this key, if there is one: keys are global."""
        until, run = self.keys.get(key, (0.0, None))
        return run if until > self.now() else None

    def active(self) -> int:
        return sum(not run.done.is_set() for run in self.runs.values())

    def active_in(self, session_key: str, run_id: str | None) -> list[Run]:
        return [
            run
            for run in self.runs.values()
            if run.session_key == session_key and run_id in (None, run.id) and not run.done.is_set()
        ]

    def session_lock(self, session_key: str) -> asyncio.Lock:
        return self.locks.setdefault(session_key, asyncio.Lock())

    def respond(self, run: Run) -> None:
        """Send a run's last response to the connection that began it."""
        owner = self.owners.pop(run.id, None)
        if owner and run.response:
            owner[0].respond(owner[1], *run.response)

    def cool_down(self) -> None:
        self.cooling_until = self.now() + COOLDOWN_SECONDS

    # -- connections and restarts ------------------------------------------------------------------------------------

    def broadcast(self, event: str, payload: Payload, *, tools: bool = False) -> None:
        """Send an event to every connection that may read."""
        for connection in list(self.connections):
            if "operator.read" in connection.scopes and (not tools or "tool-events" in connection.caps):
                connection.event(event, payload)

    def welcomed(self) -> list[SocketConnection]:
        """The connections after their handshake."""
        return [connection for connection in self.connections if connection.welcome]

    def cut_connections(self) -> None:
        """Drop every connection, and go on running."""
        for connection in list(self.connections):
            connection.cut()
        self.connections.clear()

    def crash_soon(self) -> None:
        self.restart_now.set()

    async def kill_runs(self) -> None:
        """Kill all runs without a response, as SIGKILL does."""
        dying = [run.task for run in self.runs.values() if run.task and not run.done.is_set()]
        for task in dying:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*dying, return_exceptions=True)

    async def drain(self, budget: float = 5.0) -> None:
        """Shut down as on SIGTERM: announce it, accept nothing new, let running turns end, then close."""
        self.draining = True
        for connection in self.welcomed():
            connection.event("shutdown", {"reason": "gateway-restarting"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(budget):
                for run in list(self.runs.values()):
                    await run.done.wait()
        for connection in self.welcomed():
            connection.close(1012, "service restart")
