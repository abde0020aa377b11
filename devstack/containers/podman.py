"""Podman with its images and containers in a directory of its own, as root and without systemd."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from devstack.processes.process import DevstackError

PROGRAMS = {
    "podman": "podman",
    "buildah": "buildah",
    "runc": "runc",
    "catatonit": "catatonit",
    "debootstrap": "debootstrap",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
}
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin:/usr/libexec/podman:/usr/lib/podman"
# Smaller limits than Podman's own, which root may not set everywhere.
_CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=4096:8192"]
[network]
network_backend = "netavark"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{directory}/graph"
runroot = "{directory}/run"
"""


def reason_against() -> str:
    """Why containers cannot run here; empty if they can."""
    if os.geteuid() != 0:
        return "Podman is used as root here"
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=_PATH)]
    return f"these packages are not installed: {' '.join(missing)}" if missing else ""


class Podman:
    """Runs `podman`, and programs that call it, with the state in `directory`, which needs some 6 GB."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        (self.directory / "tmp").mkdir(parents=True, exist_ok=True)
        containers, storage = self.directory / "containers.conf", self.directory / "storage.conf"
        containers.write_text(_CONTAINERS)
        storage.write_text(_STORAGE.format(directory=self.directory))
        self.env = os.environ | {
            "TMPDIR": str(self.directory / "tmp"),
            "CONTAINERS_CONF": str(containers),
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_RUNTIME": "runc",
        }

    def run(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> str:
        """Run a command of Podman and return its output; raises `DevstackError` if it fails."""
        return self.call("podman", *arguments, check=check, env=env)

    def call(self, *command: str, check: bool = True, env: Mapping[str, str] | None = None) -> str:
        """Run a program in Podman's environment and return its output; raises `DevstackError` if it fails."""
        done = subprocess.run(
            command,
            env=self.env | dict(env or {}),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise DevstackError(f"{' '.join(command[:8])} failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command of Podman ends with status 0."""
        command = ["podman", *arguments]
        return not subprocess.run(command, env=self.env, capture_output=True, check=False).returncode
