"""The simulated Stripe as a program of the stack, unless a real one is configured."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from devstack.credentials import credentials
from devstack.servers.ports import accepts, free_port
from devstack.stack import Stack
from tests.support.stack.processes import eventually

ELSEWHERE = {"DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1/x", "REDIS_URL": "redis://127.0.0.1/0"}


def test_the_programs_get_its_address_and_share_its_secrets(tmp_path: Path):
    stack = Stack(tmp_path, ELSEWHERE)
    env = stack.environment()
    assert env["STRIPE_API_BASE"] == f"http://127.0.0.1:{stack.ports.stripe}" == stack.addresses()["stripe_simulator"]
    assert env["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert env["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")
    again = Stack(tmp_path, ELSEWHERE).environment()
    assert all(again[name] == env[name] for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"))
    assert "stripe" in [program.name for program in stack.programs()]


def test_it_stays_away_when_there_is_a_real_one(tmp_path: Path):
    stack = Stack(tmp_path, ELSEWHERE | {"STRIPE_SECRET_KEY": "sk_test_real"})
    assert "stripe" not in [program.name for program in stack.programs()]
    assert "STRIPE_API_BASE" not in stack.environment()
    assert stack.environment()["STRIPE_SECRET_KEY"] == "sk_test_real"


def test_a_stack_from_before_gets_the_secrets_that_it_lacks(tmp_path: Path):
    old = credentials(tmp_path)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"jwt_secret": "kept"} | {"flower_password": old.flower_password}))
    new = credentials(tmp_path)
    assert (new.jwt_secret, new.flower_password) == ("kept", old.flower_password)
    assert new.stripe_secret_key
    assert credentials(tmp_path) == new


def test_it_runs_as_a_program_of_its_own():
    port = free_port()
    command = [sys.executable, "-m", "simulators.stripe", "--port", str(port), "--key", "sk_test_x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            eventually(lambda: accepts(port))
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
                assert response.read() == b"ok"
        finally:
            program.terminate()
            output, _ = program.communicate(timeout=10)
    assert program.returncode == 0
    assert "pk_test_" in output
