"""Base images: pulled from a registry, or made of Debian's packages under the same names where none can be reached."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from devstack.containers.podman import Podman

HERE = Path(__file__).parent
DEBIAN, PYTHON = "docker.io/library/debian:bookworm-slim", "docker.io/library/python:3.11-slim-trixie"
POSTGRES, REDIS = "docker.io/library/postgres:17", "docker.io/library/redis:7"
PROMETHEUS, GRAFANA = "docker.io/prom/prometheus:v2.55.1", "docker.io/grafana/grafana:11.4.0"
# Of these there is no package; what needs them is left out.
WITHOUT_PACKAGE = (GRAFANA,)
_SYSTEM = "ca-certificates,python3,python3-venv,python3-pip"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # this machine's, whose mirrors may have one of their own
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


class BaseImages:
    """The images from which others are built, or which docker-compose.yml runs as they are."""

    def __init__(self, podman: Podman, say: Callable[[str], None]) -> None:
        self._podman, self._say = podman, say
        self._made: dict[str, Callable[[str], None]] = {
            DEBIAN: self._import_debian,
            PYTHON: self._import_debian,
            POSTGRES: partial(self._build, "postgres"),
            REDIS: partial(self._build, "redis"),
            PROMETHEUS: partial(self._build, "prometheus"),
        }

    def provide(self) -> list[str]:
        """Provide all of them; returns the names of those that cannot be had here."""
        names = (*self._made, *WITHOUT_PACKAGE)
        missing = [name for name in names if not self._podman.succeeds("image", "exists", name)]
        if missing and self._pull(missing[0]):
            for name in missing[1:]:
                self._podman.run("pull", "--quiet", name)
            return []
        for name in missing:
            if name in self._made:
                self._say(f"No registry answers: {name.removeprefix('docker.io/')} is made of Debian's packages.")
                self._made[name](name)
        return [name for name in missing if name not in self._made]

    def _pull(self, name: str) -> bool:
        return self._podman.succeeds("pull", "--quiet", name)

    def _import_debian(self, name: str) -> None:
        """Import a small Debian with its Python, which is of the version that the Dockerfile names."""
        root, archive = self._root(), self._podman.directory / "tmp" / "root.tar"
        excluded = [f"--exclude=./{path}" for path in ("proc", "sys", "var/cache/apt/archives")]
        self._podman.call("tar", "-C", str(root), "--one-file-system", *excluded, "-cf", str(archive), ".")
        variables = [f"ENV {variable}={_AUTHORITIES}" for variable in ("PIP_CERT", "NODE_EXTRA_CA_CERTS")]
        changes = [word for change in (*variables, 'CMD ["bash"]') for word in ("-c", change)]
        self._podman.run("import", *changes, str(archive), name)
        archive.unlink()

    def _root(self) -> Path:
        root = self._podman.directory / "debian"
        if (root / "complete").exists():
            return root
        shutil.rmtree(root, ignore_errors=True)
        self._podman.call("debootstrap", "--variant=minbase", f"--include={_SYSTEM}", "bookworm", str(root))
        if _AUTHORITIES.exists():
            shutil.copy(_AUTHORITIES, root / "etc/ssl/certs/ca-certificates.crt")
        if _SOURCES.exists():
            shutil.copy(_SOURCES, root / "etc/apt/sources.list.d/")
            (root / "etc/apt/sources.list").write_text("")
        python = root / "usr/bin/python"
        if not os.path.lexists(python):
            python.symlink_to("python3")
        (root / "complete").touch()
        return root

    def _build(self, folder: str, name: str) -> None:
        build(self._podman, HERE / "images" / folder, name)


def build(podman: Podman, directory: Path, name: str, *more: str) -> None:
    """Build an image from the Dockerfile in a directory, from base images that are here."""
    how = ("--quiet", "--format", "docker", "--network", "host", "--isolation", "oci", "--pull-never")
    podman.run("build", *how, *more, "--tag", name, str(directory))
