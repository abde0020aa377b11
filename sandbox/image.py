"""Images of the sandbox: the state of the guest right after it has run its scripts, ready to be instantiated.

An image is built once per environment (`sandbox.build`) and stored below its `share/`. Its name is a hash of everything
that it is built from, so a change of the prelude, a package or `wasmtime` makes another image.
"""

import hashlib
import json
import platform
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import wasmtime

from sandbox.engine import new_engine, new_linker

HERE = Path(__file__).parent
GUEST = HERE / "guest"
HOME = Path(sys.prefix) / "share" / "agentforge-sandbox"


class ImageMissing(Exception):
    """The sandbox is not prepared in this environment, or its files are damaged."""


@dataclass(frozen=True)
class Layout:
    """The addresses in an image that its host uses; `slots` are described in `wasm.with_entry`."""

    slots: int
    input: int
    size: int  # bytes of its memory
    low: int  # lower addresses are stack, which no evaluation reads before it writes
    module_hash: str
    memory_hash: str


@dataclass(frozen=True)
class Image:
    """A loaded image; `restored` is the initial memory of an instance from `layout.low` on."""

    engine: wasmtime.Engine
    instances: wasmtime.InstancePre
    restored: bytes
    layout: Layout


@cache
def key() -> str:
    """The hash of the code and the versions of the packages that images are built from."""
    digest = hashlib.sha256(f"{version('wasmtime')} {version('tzdata')} {platform.machine()}".encode())
    code = [HERE / f"{name}.py" for name in ("build", "engine", "wasm", "zones")]
    for path in sorted([*code, *GUEST.glob("*.js*"), *GUEST.glob("prelude/*.js")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def directory() -> Path:
    """The directory of the images of this code."""
    return HOME / key()


def load(name: str, engine: wasmtime.Engine | None = None) -> Image:
    """Load a prepared image; raises `ImageMissing`."""
    place = directory()
    try:
        layout = Layout(**json.loads((place / f"{name}.json").read_text()))
        memory, module = (place / f"{name}.memory").read_bytes(), (place / f"{name}.module").read_bytes()
    except OSError:
        raise ImageMissing(f"The sandbox is not prepared in {HOME}; run `python -m sandbox`.") from None
    if (sha256(module), sha256(memory)) != (layout.module_hash, layout.memory_hash):
        raise ImageMissing(f"The sandbox in {place} is damaged; remove it and run `python -m sandbox`.")
    engine = engine or new_engine()
    compiled = wasmtime.Module.deserialize(engine, module)  # checks only versions, hence the hash above
    linker = new_linker(engine, compiled, layout.slots)
    return Image(engine, linker.instantiate_pre(compiled), memory[layout.low :], layout)


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()
