"""Runs one instance of an image: each request begins with the state of the image."""

import ctypes
from dataclasses import dataclass
from enum import StrEnum

import wasmtime

from sandbox.build import ENTRY, INPUT_BYTES
from sandbox.engine import CLOCK_AT, TICK_SECONDS, exported, new_store
from sandbox.image import Image

FUEL_A_SECOND = 100_000_000  # of the slowest machine; deadlines are computed with it
REUSED_FUEL = 5_000_000  # an instance that used more is replaced instead of restored


class StopReason(StrEnum):
    """Why an evaluation was stopped."""

    FUEL = "fuel"
    MEMORY = "memory"
    TIME = "time"  # the machine was slow, so a retry may succeed
    DEPTH = "depth"
    RESULT = "result"


class Stopped(Exception):
    """An evaluation was stopped; a retry is stopped too, except for `TIME`."""

    def __init__(self, reason: StopReason, fuel: int) -> None:
        super().__init__(reason)
        self.reason, self.fuel = reason, fuel


@dataclass(frozen=True)
class SandboxRequest:
    """`payload` is the argument of the guest's function, `clock_ns` its time, `result_bytes` limits its result."""

    payload: bytes
    fuel: int
    clock_ns: int = 0
    result_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True)
class SandboxReply:
    """The result of the guest's function, and the fuel that it used."""

    payload: bytes
    fuel: int


class Instance:
    """An instance of an image. Not thread-safe: a pool lends it to one thread at a time."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._store: wasmtime.Store | None = None
        self._memory: wasmtime.Memory
        self._evaluate: wasmtime.Func
        self._allocate: wasmtime.Func

    def run(self, request: SandboxRequest) -> SandboxReply:
        """Call the guest's function; raises `Stopped`."""
        store = self._store or self._open()
        store.set_fuel(request.fuel)
        store.set_epoch_deadline(int((1 + request.fuel / FUEL_A_SECOND) / TICK_SECONDS) + 1)
        is_clean = False
        try:
            payload = self._call(store, request)
            is_clean = True
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise Stopped(_reason(error), request.fuel - store.get_fuel()) from None
        finally:
            fuel = request.fuel - store.get_fuel()
            self._tidy(store, is_reusable=is_clean and fuel <= REUSED_FUEL)
        return SandboxReply(payload, fuel)

    def _open(self) -> wasmtime.Store:
        store = self._store = new_store(self._image.engine)
        store.set_fuel(10**9)  # more than enough: an image runs no code when it is instantiated
        store.set_epoch_deadline(10**6)
        exports = self._image.instances.instantiate(store).exports(store)
        self._memory = exported(exports, "memory", wasmtime.Memory)
        self._evaluate = exported(exports, ENTRY, wasmtime.Func)
        self._allocate = exported(exports, "wasm_malloc", wasmtime.Func)
        return store

    def _call(self, store: wasmtime.Store, request: SandboxRequest) -> bytes:
        layout, length = self._image.layout, len(request.payload)
        at = layout.input if length <= INPUT_BYTES else self._allocate(store, length)
        if not at:
            raise Stopped(StopReason.MEMORY, 0)
        base = self._base(store)
        ctypes.memmove(base + at, request.payload, length)
        slots = (ctypes.c_uint32 * 5).from_address(base + layout.slots)
        slots[0], slots[1] = at, length
        ctypes.c_uint64.from_address(base + layout.slots + CLOCK_AT).value = request.clock_ns
        self._evaluate(store)
        base = self._base(store)
        length, at = (ctypes.c_uint32 * 5).from_address(base + layout.slots)[3:]
        if not at or at + length > self._memory.data_len(store):
            raise Stopped(StopReason.MEMORY, request.fuel - store.get_fuel())
        if length > request.result_bytes:
            raise Stopped(StopReason.RESULT, request.fuel - store.get_fuel())
        return ctypes.string_at(base + at, length)

    def _base(self, store: wasmtime.Store) -> int:
        return ctypes.addressof(self._memory.data_ptr(store).contents)

    def _tidy(self, store: wasmtime.Store, *, is_reusable: bool) -> None:
        """Restore the memory, or discard the instance if that would not undo everything."""
        if is_reusable and self._memory.data_len(store) == self._image.layout.size:
            low = self._image.layout.low
            ctypes.memmove(self._base(store) + low, self._image.restored, len(self._image.restored))
        else:
            self._store = None
            store.close()


_REASONS = {
    wasmtime.TrapCode.OUT_OF_FUEL: StopReason.FUEL,
    wasmtime.TrapCode.INTERRUPT: StopReason.TIME,
    wasmtime.TrapCode.STACK_OVERFLOW: StopReason.DEPTH,
    wasmtime.TrapCode.UNREACHABLE: StopReason.MEMORY,  # QuickJS aborts if it has no memory for the error
}


def _reason(error: wasmtime.Trap | wasmtime.WasmtimeError) -> StopReason:
    code = getattr(error, "trap_code", None)
    return _REASONS.get(code, StopReason.MEMORY) if code is not None else StopReason.FUEL
