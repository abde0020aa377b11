"""Configures WebAssembly: deterministic, metered, without access to anything but a clock that the host sets."""

import platform
from typing import Any, TypeVar

import wasmtime

from sandbox.wasm import UnknownModule

T = TypeVar("T")

PAGE = 65_536
MEMORY_BYTES = 64 * 1024 * 1024  # the maximum of one instance
JS_STACK_BYTES = 128 * 1024  # of QuickJS; the stack of WebAssembly is larger, so that QuickJS reports an overflow
WASM_STACK_BYTES = 512 * 1024
CLOCK_AT = 24  # offset in bytes from an image's slots of its clock: nanoseconds since 1970
TICK_SECONDS = 0.1

_TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
_SUCCESS, _BAD_FILE = 0, 8  # of WASI


def new_engine() -> wasmtime.Engine:
    """Create an engine; it accepts modules compiled by any engine with this configuration."""
    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.max_wasm_stack = WASM_STACK_BYTES
    config.cranelift_nan_canonicalization = True
    config.wasm_threads = False
    config.wasm_relaxed_simd = False
    config.signals_based_traps = False  # with its handlers and those of `faulthandler`, the process crashes
    config.memory_reservation = MEMORY_BYTES
    config.memory_guard_size = PAGE
    if target := _TARGETS.get(platform.machine()):
        config.target = target  # so that a compiled module runs on every machine of this architecture
    return wasmtime.Engine(config)


def new_linker(engine: wasmtime.Engine, module: wasmtime.Module, slots: int) -> wasmtime.Linker:
    """Link the imports of a guest: its clock shows the time that the host wrote after `slots`; others do nothing."""
    linker = wasmtime.Linker(engine)

    def tell_time(caller: wasmtime.Caller, _clock: int, _precision: int, at: int) -> int:
        memory = exported(caller, "memory", wasmtime.Memory)
        memory.write(caller, memory.read(caller, slots + CLOCK_AT, slots + CLOCK_AT + 8), at)
        return _SUCCESS

    def refuse_file(*_: int) -> int:
        return _BAD_FILE

    def do_nothing(*_: int) -> int:
        return 0

    def ignore(*_: int) -> None:
        return None

    for wanted in module.imports:
        name, kind = wanted.name or "", wanted.type
        if not isinstance(kind, wasmtime.FuncType):
            raise UnknownModule(f"it imports `{name}`, which is no function")
        is_clock = name == "clock_time_get"
        answers = do_nothing if kind.results else ignore
        handler = tell_time if is_clock else refuse_file if name.startswith("fd_") else answers
        linker.define_func(wanted.module, name, kind, handler, access_caller=is_clock)
    return linker


def exported(exports: Any, name: str, kind: type[T]) -> T:
    """An export of an instance; raises `UnknownModule` if it is not of this kind."""
    found = exports[name]
    if not isinstance(found, kind):
        raise UnknownModule(f"its `{name}` is no {kind.__name__}")
    return found


def new_store(engine: wasmtime.Engine, memory_bytes: int = MEMORY_BYTES) -> wasmtime.Store:
    """Create a store for one instance."""
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=memory_bytes, table_elements=2_000, instances=1, tables=1, memories=1)
    return store
