"""Prepares the sandbox of an environment: installs hashed packages from npm, and builds the images."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import wasmtime

from sandbox.engine import JS_STACK_BYTES, exported, new_engine, new_linker, new_store
from sandbox.image import GUEST, HOME, ImageMissing, Layout, directory, sha256
from sandbox.npm import NpmMissing, find
from sandbox.wasm import with_entry, with_state
from sandbox.zones import packed_zones

IMAGES = ("evaluate", "analyse")
ENTRY = "evaluate"
INPUT_BYTES = 64 * 1024  # the input buffer of an image; an instance allocates memory only for larger inputs
SLOT_BYTES = 64
GC_BYTES = 8 * 1024 * 1024  # allocations before QuickJS looks for cycles
BUILD_FUEL = 10**12
KEPT_IMAGES = 8
REACHED_STACK_BYTES = JS_STACK_BYTES + 64 * 1024  # QuickJS stops at the first; the rest is a margin
_EXPORTS = ("memory", "wasm_malloc")


def prepare() -> Path:
    """Build the images unless they exist, one process at a time; returns their directory."""
    place = directory()
    with _lock():
        if not place.exists():
            packages = install()
            guest = (packages / "quickjs-wasi" / "quickjs.wasm").read_bytes()
            engine = new_engine()
            module = wasmtime.Module(engine, guest)
            unfinished = place.with_suffix(".new")
            unfinished.mkdir(exist_ok=True)
            for name in IMAGES:
                _build(_Builder(engine, module), guest, list(_scripts(name, packages)), unfinished / name)
            unfinished.rename(place)
            _forget_old()
    return place


def _forget_old() -> None:
    """Delete all but the newest images; checkouts with other code may share this environment and use some of them."""
    images = sorted((path.parent for path in HOME.glob("*/evaluate.json")), key=lambda path: path.stat().st_mtime)
    for old in images[:-KEPT_IMAGES]:
        shutil.rmtree(old, ignore_errors=True)


def install() -> Path:
    """Install the packages of `guest/package-lock.json` unless they are installed; returns their directory."""
    lock = (GUEST / "package-lock.json").read_bytes()
    place = HOME / f"packages-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (place / "node_modules").exists():
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(GUEST / name, place / name)
        try:
            npm = find()
            command = [*npm.command, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=place, env=os.environ | {"PATH": npm.path}, check=True)  # noqa: S603  # no part comes from users
        except (NpmMissing, OSError, subprocess.CalledProcessError) as error:
            raise ImageMissing(f"The packages of the sandbox cannot be installed: {error}") from error
    return place / "node_modules"


@contextmanager
def _lock() -> Iterator[None]:
    try:
        HOME.mkdir(parents=True, exist_ok=True)
        with (HOME / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise ImageMissing(f"The sandbox cannot be prepared in {HOME}: {error}") from error


def _scripts(name: str, packages: Path) -> Iterator[str]:
    """The scripts of an image; the value of the last one is the function that the host calls."""
    yield f"globalThis.knownNames = {(GUEST / 'names.json').read_text()};"
    if name == "analyse":
        yield (packages / "acorn" / "dist" / "acorn.js").read_text()
    else:
        prelude = GUEST / "prelude"
        yield (prelude / "names.js").read_text()
        yield (prelude / "zones.js").read_text()
        yield from (f"prelude.addZones({json.dumps(line)});" for line in packed_zones())
        yield from ((prelude / f"{subject}.js").read_text() for subject in ("lists", "texts", "bytes", "dates"))
    yield (GUEST / f"{name}.js").read_text()


class _Builder:
    """A guest that runs its scripts, for an image of it afterwards."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        self.engine, self.store = engine, new_store(engine)
        self.store.set_fuel(BUILD_FUEL)
        self.store.set_epoch_deadline(10**9)
        # While it is built, its clock shows 1970.
        self.exports = new_linker(engine, module, slots=0).instantiate(self.store, module).exports(self.store)
        self.call("_initialize")
        self.call("qjs_init")
        self.call("qjs_set_max_stack_size", JS_STACK_BYTES)
        self.call("qjs_set_gc_threshold", GC_BYTES)

    def call(self, name: str, *arguments: int) -> int:
        return int(exported(self.exports, name, wasmtime.Func)(self.store, *arguments) or 0)

    @property
    def memory(self) -> bytes:
        return bytes(exported(self.exports, "memory", wasmtime.Memory).read(self.store))

    @property
    def stack_pointer(self) -> int:
        return int(exported(self.exports, "__stack_pointer", wasmtime.Global).value(self.store))

    def put(self, data: bytes) -> int:
        at = self.call("wasm_malloc", len(data) + 1)
        exported(self.exports, "memory", wasmtime.Memory).write(self.store, data + b"\0", at)
        return at

    def read(self, script: str) -> int:
        """Run a script; returns a handle of its value."""
        data = script.encode()
        source, name = self.put(data), self.put(b"<prelude>")
        value = self.call("qjs_eval", source, len(data), name, 0)
        if self.call("qjs_is_exception", value):
            raise ImageMissing(f"A script of the sandbox fails: {self._text(self.call('qjs_get_exception'))}")
        self.call("wasm_free", source)
        self.call("wasm_free", name)
        return value

    def _text(self, value: int) -> str:
        at = self.call("qjs_get_string", value)
        return self.memory[at : self.memory.index(b"\0", at)].decode()


def _build(builder: _Builder, guest: bytes, scripts: list[str], path: Path) -> None:
    """Build the image of some scripts and write its files."""
    function = [builder.read(script) for script in scripts][-1]
    this = builder.call("qjs_get_undefined")
    inputs, slots = builder.call("wasm_malloc", INPUT_BYTES), builder.call("wasm_malloc", SLOT_BYTES)
    builder.call("qjs_run_gc")
    memory = builder.memory
    entered = with_entry(guest, ENTRY, slots=slots, function=function, this=this)
    state = with_state(entered, memory, builder.stack_pointer, (*_EXPORTS, ENTRY))
    serialized = bytes(wasmtime.Module(builder.engine, state).serialize())
    low = max(0, builder.stack_pointer - REACHED_STACK_BYTES)
    layout = Layout(slots, inputs, len(memory), low, sha256(serialized), sha256(memory))
    path.with_suffix(".module").write_bytes(serialized)
    path.with_suffix(".memory").write_bytes(memory)
    path.with_suffix(".json").write_text(json.dumps(asdict(layout)))
