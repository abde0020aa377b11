"""Programs of Debian packages, which CI installs; a test whose program is missing is skipped."""

import os
import shutil
from pathlib import Path

import pytest

_SYSTEM = f"{os.defpath}:/usr/sbin:/sbin"


def program(name: str, *, package: str) -> str:
    """Path of a program; skips the test when the package is not installed."""
    found = shutil.which(name, path=_SYSTEM)
    if found is None:
        _missing(package)
    return str(found)


def directory(path: str, *, package: str) -> Path:
    """A directory of a package's programs; skips the test when it does not exist."""
    if not Path(path).is_dir():
        _missing(package)
    return Path(path)


def _missing(package: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"Debian's package {package} is missing, and CI must have it.")
    pytest.skip(f"needs Debian's package {package}")
