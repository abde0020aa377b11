"""A worker takes only what it has the settings for."""

import os
import subprocess
import sys

from tests.conftest import ROOT

WORKER = ["celery", "-A", "celery_config:app", "worker", "-P", "threads", "-c", "1", "--without-gossip"]


def test_a_worker_does_not_start_on_queues_of_another_role():
    env = {"PATH": os.defpath, "AGENTFORGE_ENV": "test", "AGENTFORGE_ROLE": "worker-executions"}
    command = [sys.executable, "-m", *WORKER, "-Q", "executions.high,billing"]
    answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert "A process of the role worker-executions has no settings for billing." in answer.stderr
