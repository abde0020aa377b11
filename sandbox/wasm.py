"""Rewrites WebAssembly modules, so that the state of an instance becomes the initial state of a new module.

Source: the binary format in the WebAssembly core specification 2.0, chapter 5.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAGIC = b"\0asm\1\0\0\0"
PAGE = 65_536
BLOCK = 4_096  # bytes; the image omits blocks of zeros

_CUSTOM, _TYPE, _IMPORT, _FUNCTION, _MEMORY, _GLOBAL, _EXPORT, _START = 0, 1, 2, 3, 5, 6, 7, 8
_CODE, _DATA, _DATA_COUNT = 10, 11, 12
_I32_CONST, _CALL, _I32_LOAD, _I32_STORE, _END = b"\x41", b"\x10", b"\x28\x02\x00", b"\x36\x02\x00", b"\x0b"


class UnknownModule(Exception):
    """The module does not have the structure that the rewriting expects."""


class Export(NamedTuple):
    """An entry of the export section; `kind` 0 is a function."""

    name: str
    kind: int
    number: int


class _Reader:
    """Reads the numbers and names of a section."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self) -> int:
        """Read an unsigned LEB128 number, or skip a signed one."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def take(self, length: int) -> bytes:
        """Read the next bytes."""
        self.at += length
        return self.data[self.at - length : self.at]

    def name(self) -> str:
        """Read a name, which has its length before it."""
        return self.take(self.number()).decode()


def unsigned(value: int) -> bytes:
    """Encode `value` in unsigned LEB128."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """Encode `value` in signed LEB128."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value & 127)
    return bytes(out)


def with_state(module: bytes, memory: bytes, stack_pointer: int, exports: Iterable[str]) -> bytes:
    """Return `module` with this initial memory and stack pointer, and only `exports` exported.

    The module must have one memory, one mutable global (the stack pointer), only active data and no start function.
    """
    kept = frozenset(exports)
    blocks = list(_blocks(memory))
    out = bytearray(MAGIC)
    for number, body in _sections(module):
        if number == _START:
            raise UnknownModule("a start function would run again")
        if number == _MEMORY:
            body = b"\x01\x00" + unsigned(len(memory) // PAGE)
        elif number == _GLOBAL:
            body = _globals(body, stack_pointer)
        elif number == _EXPORT:
            body = _vector(_encoded(export) for export in _exports(body) if export.name in kept)
        elif number == _DATA_COUNT:
            body = unsigned(len(blocks))
        elif number == _DATA:
            _check_active(body)
            body = _vector(b"\0" + _const(at) + _END + unsigned(len(data)) + data for at, data in blocks)
        if number != _CUSTOM:
            out += _section(number, body)
    return bytes(out)


def with_entry(module: bytes, name: str, *, slots: int, function: int, this: int) -> bytes:
    """Return `module` with an export `name` without arguments and results, which makes calling it cheap.

    It makes a JavaScript string of the bytes whose address and length are the first two words at `slots`, calls
    `function` with it, and stores length and address of the resulting string in the fourth and fifth word.
    """
    sections = dict(_sections(module))
    exported = {export.name: export.number for export in _exports(sections[_EXPORT]) if not export.kind}
    types, functions = _Reader(sections[_TYPE]), _Reader(sections[_FUNCTION])
    type_index, defined = types.number(), functions.number()
    text, call, result = (
        _CALL + unsigned(exported[one]) for one in ("qjs_new_string", "qjs_call", "qjs_get_string_len")
    )
    load = [_const(slots + 4 * word) + _I32_LOAD for word in range(2)]
    code = b"".join(
        [
            *(b"\0", _const(slots + 8), *load, text, _I32_STORE),
            *(_const(slots + 16), _const(function), _const(this), _const(1), _const(slots + 8), call),
            *(_const(slots + 12), result, _I32_STORE, _END),
        ]
    )
    added = {
        _TYPE: b"\x60\0\0",
        _FUNCTION: unsigned(type_index),
        _EXPORT: _encoded(Export(name, 0, _imported_functions(sections[_IMPORT]) + defined)),
        _CODE: unsigned(len(code)) + code,
    }
    out = bytearray(MAGIC)
    for number, body in sections.items():
        out += _section(number, _appended(body, added[number]) if number in added else body)
    return bytes(out)


def _sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    if not module.startswith(MAGIC):
        raise UnknownModule("no WebAssembly")
    reader = _Reader(module)
    reader.at = len(MAGIC)
    while reader.at < len(module):
        number = reader.take(1)[0]
        yield number, reader.take(reader.number())


def _section(number: int, body: bytes) -> bytes:
    return bytes([number]) + unsigned(len(body)) + body


def _vector(items: Iterable[bytes]) -> bytes:
    found = list(items)
    return unsigned(len(found)) + b"".join(found)


def _appended(body: bytes, item: bytes) -> bytes:
    reader = _Reader(body)
    count = reader.number()
    return unsigned(count + 1) + body[reader.at :] + item


def _const(value: int) -> bytes:
    return _I32_CONST + signed(value - 2**32 if value >= 2**31 else value)


def _encoded(export: Export) -> bytes:
    return unsigned(len(export.name)) + export.name.encode() + bytes([export.kind]) + unsigned(export.number)


def _exports(body: bytes) -> list[Export]:
    reader = _Reader(body)
    return [Export(reader.name(), reader.take(1)[0], reader.number()) for _ in range(reader.number())]


def _imported_functions(body: bytes) -> int:
    """The number of imported functions, whose indexes precede those of defined functions."""
    reader = _Reader(body)
    count = reader.number()
    for _ in range(count):
        reader.name(), reader.name()
        if reader.take(1) != b"\0":
            raise UnknownModule("it imports more than functions")
        reader.number()
    return count


def _globals(body: bytes, stack_pointer: int) -> bytes:
    reader = _Reader(body)
    out, mutable = [], 0
    for _ in range(reader.number()):
        start = reader.at
        kind, is_mutable, opcode = reader.take(3)
        if opcode not in b"\x41\x42\x23\xd2":
            raise UnknownModule(f"a global begins with the instruction {opcode:#x}")
        reader.number()
        if reader.take(1) != _END:
            raise UnknownModule("a global is computed")
        mutable += is_mutable
        out.append(bytes([kind, 1]) + _const(stack_pointer) + _END if is_mutable else body[start : reader.at])
    if mutable != 1:
        raise UnknownModule(f"{mutable} globals may change")
    return _vector(out)


def _check_active(body: bytes) -> None:
    reader = _Reader(body)
    for _ in range(reader.number()):
        if reader.number() != 0 or reader.take(1) != _I32_CONST:
            raise UnknownModule("data that is copied later")
        reader.number()
        reader.take(1)
        reader.take(reader.number())


def _blocks(memory: bytes) -> Iterator[tuple[int, bytes]]:
    """The parts of `memory` without blocks of zeros, with their addresses."""
    zeros, start = bytes(BLOCK), None
    for at in range(0, len(memory), BLOCK):
        is_zero = memory[at : at + BLOCK] == zeros
        if start is not None and is_zero:
            yield start, memory[start:at]
            start = None
        elif start is None and not is_zero:
            start = at
    if start is not None:
        yield start, memory[start:]
