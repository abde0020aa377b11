"""The build of the console: made once from the same sources, and never a reason for the stack not to start."""

from pathlib import Path

import pytest

from devstack.console import __main__ as command
from devstack.console import build
from devstack.processes.process import DevstackError
from sandbox.npm import Npm, NpmMissing


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose npm writes what a build writes, and counts its calls."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "openapi.json").write_text("{}")
    home = tmp_path / "console"
    (home / "src").mkdir(parents=True)
    for name in ("package-lock.json", "src/main.tsx"):
        (home / name).write_text("1")
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\necho "$1" >>../calls\nmkdir -p dist node_modules && echo built >dist/index.html\n')
    npm.chmod(0o755)
    place = tmp_path / "build" / "console"
    for name, path in {
        "ROOT": tmp_path,
        "HOME": home,
        "CONSOLE": home / "dist" / "index.html",
        "PACKAGES": home / "node_modules",
        "INSTALLED": home / "node_modules" / ".installed",
        "BUILD": place,
        "BUILT": place / "built",
    }.items():
        monkeypatch.setattr(build, name, path)
    monkeypatch.setattr(build, "find", lambda: Npm((str(npm),), "/usr/bin:/bin"))
    return home


def calls(home: Path) -> list[str]:
    return (home.parent / "calls").read_text().split()


def test_it_is_built_once(home: Path):
    build.build()
    build.build()
    assert calls(home) == ["ci", "run"]


@pytest.mark.parametrize("source", ["console/src/main.tsx", "docs/openapi.json"])
def test_a_changed_source_is_built_without_installing_again(home: Path, source: str):
    build.build()
    (home.parent / source).write_text("2")
    build.build()
    assert calls(home) == ["ci", "run", "run"]


def test_linked_packages_are_not_installed_into(home: Path):
    others = home.parent / "others"
    others.mkdir()
    (home / "node_modules").symlink_to(others)
    build.build()
    assert calls(home) == ["run"]


def test_a_changed_lock_file_is_installed(home: Path):
    build.build()
    (home / "package-lock.json").write_text("2")
    build.build()
    assert calls(home) == ["ci", "run", "ci", "run"]


def test_a_failure_is_told_with_the_words_of_npm(home: Path, capsys: pytest.CaptureFixture[str]):
    (home.parent / "npm").write_text("#!/bin/sh\necho no route to the registry >&2\nexit 1\n")
    with pytest.raises(DevstackError, match="no route to the registry"):
        build.build()
    assert command.main(["build"]) == 1
    assert command.main(["build", "--if-possible"]) == 0
    assert "The console is not built: npm ci failed (is there a network?)." in capsys.readouterr().out


def test_a_machine_without_node_is_told_what_it_lacks(home: Path, monkeypatch: pytest.MonkeyPatch):
    def find() -> Npm:
        raise NpmMissing("There is no npm.")

    monkeypatch.setattr(build, "find", find)
    with pytest.raises(DevstackError, match=r"The console is not built\. There is no npm\."):
        build.build()
