"""Build the console, once from the same sources."""

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console as Terminal

from devstack.processes.process import DevstackError, locked
from devstack.stack import CONSOLE, ROOT
from sandbox.npm import NpmMissing, find

HOME = ROOT / "console"
PACKAGES = HOME / "node_modules"
BUILD = ROOT / "build" / "console"
INSTALLED = PACKAGES / ".installed"  # the digest of the lock file that the packages were installed from
BUILT = BUILD / "built"  # the digest of the sources of the build in `dist`
SOURCES = (
    "src",
    "public",
    "scripts",
    "index.html",
    "package-lock.json",
    "package.json",
    "tsconfig.json",
    "vite.config.ts",
)
GENERATED = HOME / "src" / "api" / "schema.d.ts"
SHOWN_LINES = 5


def main(_: list[str]) -> int:
    """Build the console, unless that was done."""
    build()
    return 0


def check(_: list[str]) -> int:
    """Run the console's own checks; returns the exit status."""
    install()
    return npm(["run", "--silent", "check"]).wait()


def build() -> None:
    """Build the console, unless that was done; raises `DevstackError`."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with locked(BUILD / "lock"):
        digest = _digest(_sources())
        if CONSOLE.exists() and _read(BUILT) == digest:
            return
        install()
        _run("Building the console (after each change of it, some seconds)", ["run", "--silent", "build"])
        BUILT.write_text(digest)


def install() -> None:
    """Install the packages of the lock file, unless they are installed; raises `DevstackError`.

    A linked folder is another checkout's to install into: npm would empty it, and put another one in its place.
    """
    if PACKAGES.is_symlink():
        return
    lock = _digest([HOME / "package-lock.json"])
    if _read(INSTALLED) != lock:
        command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
        _run("Installing the packages of the console (once, about half a minute)", command)
        INSTALLED.write_text(lock)


def npm(
    arguments: list[str], output: int | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start npm in the console's folder, with more variables; raises `DevstackError` if there is none."""
    try:
        found = find()
    except NpmMissing as missing:
        raise DevstackError(f"The console is not built. {missing}") from missing
    env = os.environ | {"PATH": found.path} | dict(variables or {})
    return subprocess.Popen([*found.command, *arguments], cwd=HOME, env=env, stdout=output, stderr=output)


def _run(doing: str, arguments: list[str]) -> None:
    """Run npm to its end with a progress line; its output is shown if it fails."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / "build.log"
    terminal = Terminal(highlight=False, soft_wrap=True)
    if not terminal.is_terminal:
        terminal.print(f"{doing} ...")
    with log.open("wb") as file, terminal.status(f"{doing} ..."):
        status = npm(arguments, file.fileno()).wait()
    if status:
        lines = log.read_text(errors="replace").splitlines()
        reasons = [line for line in lines if line.startswith("npm error")][:SHOWN_LINES] or lines[-SHOWN_LINES:]
        said = "\n".join(f"  {line}" for line in reasons)
        raise DevstackError(f"The console is not built: npm {arguments[0]} failed (is there a network?).\n{said}")


def _sources() -> Iterator[Path]:
    """The files that a build depends on."""
    yield ROOT / "docs" / "openapi.json"
    for name in SOURCES:
        path = HOME / name
        yield from sorted(path.rglob("*")) if path.is_dir() else [path]


def _digest(paths: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file() and path != GENERATED:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
