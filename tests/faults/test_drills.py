"""The drills of `bench/drills` in their short form keep what is promised."""

import re
import subprocess
import sys

import pytest

from bench.drills import upgrade
from devstack.processes.process import DevstackError
from tests.support.faults.programs import ROOT, measured
from tests.support.servers import debian

pytestmark = pytest.mark.faults


def said_by(drill: str, *arguments: str) -> str:
    """The output of a drill that succeeded."""
    command = [sys.executable, "-m", f"bench.drills.{drill}", "--short", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def figure(said: str, name: str) -> float:
    """The number that a drill prints beside this name."""
    found = re.search(rf"^{re.escape(name)} +([\d.]+)", said, re.MULTILINE)
    assert found, said
    return float(found[1])


@pytest.mark.parametrize("back", [0, 75])  # beyond archive_timeout, so that the log has that moment
def test_a_lost_database_is_recovered_on_a_new_server(back: int):
    debian.program("pgbackrest", package="pgbackrest")
    debian.directory("/usr/lib/postgresql/15/bin", package="postgresql-15")
    arguments = ["--back", str(back), "--seconds", "240"] if back else []
    said = said_by("restore", *arguments)
    assert figure(said, "drift between the ledger and Stripe") == 0
    assert figure(said, "repaired by a second reconciliation") == 0
    assert figure(said, "data lost") < 90 + back
    assert figure(said, "until the first run went on") < 600
    measured(
        f"{figure(said, 'data lost'):.0f} s lost, recovered in {figure(said, 'until the first run went on'):.0f} s"
    )


def test_a_rolling_deploy_fails_no_request_and_loses_no_run():
    debian.program("nginx", package="nginx-light")
    said = said_by("rolling")
    assert figure(said, "failed requests") == figure(said, "lost runs") == figure(said, "violated invariants") == 0
    assert figure(said, "readiness of an API that drains") == 503
    assert figure(said, "requests") > 100


def test_the_former_version_works_during_and_after_the_migrations():
    debian.program("nginx", package="nginx-light")
    try:
        upgrade.former_commit()
    except DevstackError as error:
        pytest.skip(str(error))
    said = said_by("upgrade")
    assert figure(said, "failed requests") == figure(said, "lost runs") == figure(said, "violated invariants") == 0
    assert figure(said, "requests") > 100
