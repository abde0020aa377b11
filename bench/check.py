"""`make bench-check`: run every benchmark in its short form to show that it works; the numbers say little.

Some at a time, the longest first. What one prints is shown when it fails.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONG = ("soak", "faults", "memory", "api", "engine", "mixed", "neighbours", "watching")
BENCHMARKS = (*LONG, "scaling", "expressions", "fairness")
AT_A_TIME = 3  # they wait more than they compute
MAX_SECONDS = 600  # of one of them, on a machine with much else to do


def main() -> int:
    """Run them all; return 1 when one fails."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        works = list(pool.map(_works, BENCHMARKS))
    return 0 if all(works) else 1


def _works(name: str) -> bool:
    command, started = [sys.executable, "-m", f"bench.{name}", "--short"], time.monotonic()
    try:
        answer = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=MAX_SECONDS, check=False
        )
        said, outcome = answer.stdout, f"exit status {answer.returncode}" if answer.returncode else "works"
    except subprocess.TimeoutExpired as error:
        said, outcome = error.stdout or b"", f"not over after {MAX_SECONDS} s"
    print(f"{name:12}{outcome}, {time.monotonic() - started:.0f} s", flush=True)
    if outcome != "works":
        print(said.decode(errors="replace"), flush=True)
    return outcome == "works"


if __name__ == "__main__":
    sys.exit(main())
