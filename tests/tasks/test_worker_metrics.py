"""What a worker counts is in its metrics, with the counts of the isolated processes that it starts."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNTS = "from workers import metrics; metrics.RUNS.labels('success', 'free').inc(%d)"
WORKER = f"""
import subprocess, sys
import prometheus_client  # as Celery's command line does, by way of Flower
from tasks.observability import metrics_files
metrics_files.share()
{COUNTS % 1}
subprocess.run([sys.executable, "-c", {COUNTS % 2!r}], check=True)
import threads
threads.counted["journal"] += 4
from tasks.observability import worker_metrics
print(worker_metrics.exposition().decode())
"""


def test_isolated_processes_add_to_the_counts_of_their_worker():
    done = subprocess.run([sys.executable, "-c", WORKER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 'agentforge_runs_finished_total{end="success",tier="free"} 3.0' in lines
    assert 'agentforge_process_thread_failures_total{thread="journal"} 4.0' in lines
    assert [line for line in lines if line.startswith("process_resident_memory_bytes ")]
    assert not [line for line in lines if line.startswith("agentforge_queue")], "what the API reads from the tables"
