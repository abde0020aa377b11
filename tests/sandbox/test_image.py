"""What is prepared once for an environment is what its code says, and is not taken when it is damaged."""

import json
import shutil
from pathlib import Path

import pytest
import wasmtime

from sandbox import build, image
from sandbox.image import GUEST, ImageMissing
from sandbox.wasm import MAGIC, UnknownModule, signed, unsigned, with_state


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own, with this one's images."""
    shutil.copytree(build.prepare(), tmp_path / image.key())
    for module in (image, build):
        monkeypatch.setattr(module, "HOME", tmp_path)
    return tmp_path


def test_an_image_that_was_prepared_is_loaded(home: Path):
    assert len(image.load("evaluate").restored) > 500_000


@pytest.mark.parametrize("kind", ["module", "memory"])
def test_a_damaged_image_is_refused(home: Path, kind: str):
    path = home / image.key() / f"evaluate.{kind}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageMissing, match="damaged"):
        image.load("evaluate")


def test_what_is_not_prepared_is_said_with_what_to_do(home: Path):
    shutil.rmtree(home / image.key())
    with pytest.raises(ImageMissing, match="run `python -m sandbox`"):
        image.load("evaluate")


def test_an_image_is_named_by_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = image.key()
    shutil.copytree(GUEST, tmp_path / "guest")
    (tmp_path / "guest" / "prelude" / "lists.js").write_text("// changed")
    monkeypatch.setattr(image, "GUEST", tmp_path / "guest")
    image.key.cache_clear()
    try:
        assert image.key() != before
    finally:
        monkeypatch.undo()
        image.key.cache_clear()


def test_packages_are_pinned_by_hashes_and_by_no_host():
    lock = json.loads((GUEST / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert set(packages) == {"node_modules/acorn", "node_modules/quickjs-wasi"}
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in packages.values())


class TestRewriting:
    @pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 65_536, 2**31 - 1])
    def test_numbers_are_written_as_wasm_reads_them(self, value: int):
        """By what an engine computes with them."""
        body = b"\x00\x41" + signed(value) + b"\x0b"
        code = b"\x01" + unsigned(len(body)) + body
        module = MAGIC + b"".join(
            bytes([number]) + unsigned(len(section)) + section
            for number, section in (
                (1, b"\x01\x60\x00\x01\x7f"),
                (3, b"\x01\x00"),
                (7, b"\x01\x01f\x00\x00"),
                (10, code),
            )
        )
        store = wasmtime.Store(wasmtime.Engine())
        instance = wasmtime.Instance(store, wasmtime.Module(store.engine, module), [])
        assert instance.exports(store)["f"](store) == value

    @pytest.mark.parametrize(
        ("module", "words"),
        [
            (b"no module at all", "no WebAssembly"),
            (MAGIC + b"\x08\x01\x00", "a start function"),
            (MAGIC + b"\x06\x01\x00", "0 globals may change"),
            (MAGIC + b"\x0b\x03\x01\x01\x00", "data that is copied later"),
        ],
    )
    def test_a_module_of_another_make_is_refused(self, module: bytes, words: str):
        with pytest.raises(UnknownModule, match=words):
            with_state(module, bytes(65_536), 1024, ())
