"""The account that PostgreSQL runs under: it refuses root, so root starts it as an unprivileged account.

That account must still reach a checkout that only root may enter (`/root/x`, a `mktemp -d`). It gets one capability for
that, on that process only; nothing on the machine changes. Where that is impossible (a container without the
capability), the programs and the data are kept under /var/tmp instead.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.processes.process import DevstackError

_REFUGE = Path("/var/tmp")  # noqa: S108  # it has the sticky bit, and a directory there that is not ours is refused
_CAPABILITIES = ("", "dac_read_search", "dac_override")


@dataclass(frozen=True)
class UnprivilegedAccount:
    """The directories of PostgreSQL and the prefix of its commands."""

    prefix: tuple[str, ...]  # goes before each command
    programs: Path
    data: Path

    def holds(self, name: str) -> bool:
        """Whether the data directory has this file; checked as its owner, as root in a container may lack access."""
        return subprocess.run([*self.prefix, "test", "-e", str(self.data / name)], check=False).returncode == 0


def unprivileged_account(programs: Path, data: Path, death_signal: str) -> UnprivilegedAccount:
    """Choose the account and make the data directory; raises `DevstackError` if root cannot step down.

    Args:
        programs: the directory with initdb and postgres.
        data: the wanted data directory.
        death_signal: name of the signal that the server gets when its parent ends.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return UnprivilegedAccount((), programs, data)
    if shutil.which("setpriv") is None:
        raise DevstackError("PostgreSQL refuses root, and `setpriv` (util-linux) is missing: set DATABASE_URL.")
    account = _account(data)
    for capability in _CAPABILITIES:
        prefix = _step_down(account, capability, death_signal)
        if _can_live(prefix, programs, data):
            return UnprivilegedAccount(prefix, programs, data)
    return _refuge(programs, data, _step_down(account, "", death_signal), account)


def _account(data: Path) -> pwd.struct_passwd:
    """The owner of the data if it is not root, else `nobody`; initdb needs an account that has a name."""
    owner = data.stat().st_uid
    account = pwd.getpwuid(owner) if owner else _user_nobody()
    os.chown(data, account.pw_uid, account.pw_gid)
    return account


def _user_nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next(account for account in pwd.getpwall() if account.pw_uid)


def _step_down(account: pwd.struct_passwd, capability: str, death_signal: str) -> tuple[str, ...]:
    prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    wanted = f"-all,+{capability}" if capability else "-all"
    if capability:  # access(2), which initdb asks, ignores capabilities without this bit
        prefix.append("--securebits=+no_setuid_fixup")
        prefix.append(f"--bounding-set={wanted}")
    prefix += [f"--inh-caps={wanted}", f"--ambient-caps={wanted}", f"--pdeathsig={death_signal}"]
    return tuple(prefix)


def _can_live(prefix: tuple[str, ...], programs: Path, data: Path) -> bool:
    script = '"$0" --version && test -x "$0" && cd "$1" && : > .reachable && rm .reachable'
    probe = [*prefix, "sh", "-c", script, str(programs / "postgres"), str(data)]
    return subprocess.run(probe, capture_output=True, cwd="/", check=False).returncode == 0


def _refuge(programs: Path, data: Path, prefix: tuple[str, ...], account: pwd.struct_passwd) -> UnprivilegedAccount:
    home = _REFUGE / f"agentforge-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
    home.mkdir(mode=0o755, exist_ok=True)
    if home.stat().st_uid != 0 or home.is_symlink():
        raise DevstackError(f"{home} belongs to another user; remove it.")
    home.chmod(0o755)
    package = programs.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists() and not (home / part.name).exists():
            shutil.copytree(part, home / part.name)
    refuge = home / "data"
    refuge.mkdir(mode=0o700, exist_ok=True)
    os.chown(refuge, account.pw_uid, account.pw_gid)
    sys.stderr.write(f"PostgreSQL, which refuses root, cannot reach {data}; its data is kept in {refuge}.\n")
    return UnprivilegedAccount(prefix, home / package.name / programs.relative_to(package), refuge)
