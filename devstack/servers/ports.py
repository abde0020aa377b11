"""TCP ports on loopback: find free ones, and reserve those of a stack."""

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from devstack.processes.process import DevstackError

LOOPBACK = "127.0.0.1"
_MAX_PORT = 65_535
_TRIES = 200
_VARIABLES = {"api": "PORT", "flower": "FLOWER_PORT", "metrics": "METRICS_PORT"}
_WORDS = {"api": "the API is", "flower": "Flower is", "metrics": "metrics are"}


@dataclass(frozen=True)
class Ports:
    """The default ports of a stack's programs."""

    api: int = 3000
    flower: int = 5555
    metrics: int = 9464
    openclaw: int = 18790
    ai: int = 18791
    stripe: int = 12111
    mail: int = 18793  # of the page with caught mails
    smtp: int = 18794


@contextmanager
def reserved_ports(env: Mapping[str, str]) -> Iterator[tuple[Ports, list[str]]]:
    """Reserve the ports of a stack; yield them and a sentence for each well-known one that moved.

    A default port that is taken is replaced by the next free one. For a taken port that `env` names `DevstackError` is
    raised, because the user relies on it; 0 means any.
    """
    with ExitStack() as held:
        named = {name: _named(held, word, env[word]) for name, word in _VARIABLES.items() if env.get(word)}
        usual = {name: port for name, port in asdict(Ports()).items() if name not in named}
        kept = {name: port for name, port in usual.items() if _reserve(held, port)}
        moved = {name: _next(held, port) for name, port in usual.items() if name not in kept}
        yield (
            Ports(**named, **kept, **moved),
            [
                f"Port {usual[name]} is taken by another program; {words} on port {moved[name]} instead."
                for name, words in _WORDS.items()
                if name in moved
            ],
        )


def _reserve(held: ExitStack, port: int) -> bool:
    """Reserve a port if it is free.

    Our program listens on it seconds later, and until then another stack would find it free. So each stack holds the
    UDP port of the same number, which is released when the process ends, however it ends.
    """
    if not is_free(port):
        return False
    mark = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    try:
        mark.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def _named(held: ExitStack, variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise DevstackError(f"{variable} must be a port number, or 0 for any free port, not {text!r}.")
    port = int(text) or free_port()
    if not _reserve(held, port):
        another = _next(held, port)
        raise DevstackError(f"{variable}={port} is taken by another program. Stop that, or say {variable}={another}.")
    return port


def _next(held: ExitStack, port: int) -> int:
    """The next free port, below those that the system gives to outgoing connections."""
    for candidate in range(port + 1, min(port + _TRIES, _MAX_PORT)):
        if _reserve(held, candidate):
            return candidate
    return free_port()


def port_of_program(named: int | None, default: int, *, besides: int = 0) -> int:
    """The port of a simulator that is started by hand: the named one, else the first free one from `default`.

    Raises `SystemExit` with a sentence when the named one is taken.
    """
    if named is None:
        return next((port for port in range(default, default + _TRIES) if port != besides and is_free(port)), 0)
    if named and not is_free(named):
        raise SystemExit(f"Port {named} is taken by another program.")
    return named


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now, and `localhost` would reach no other one (IPv6 included)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return not _is_taken_on_ipv6(port)


def _is_taken_on_ipv6(port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("::1", port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def free_port(preferred: int = 0) -> int:
    """`preferred` if it is free, else a port that the system picks."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether something listens on `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
