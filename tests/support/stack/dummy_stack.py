"""A stack of small programs: `python -m tests.support.stack.dummy_stack DIRECTORY PROGRAM...`.

Each program writes its process id to DIRECTORY/<name>.pid. The directory's file `events` lists what happened.
"""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from devstack.processes.log import Log
from devstack.processes.process import spawn
from devstack.processes.program import Program
from devstack.processes.supervisor import Supervisor

BEHAVIOURS = {
    "steady": "import time; say('up'); time.sleep(600)",
    "parent": "import subprocess; c = subprocess.Popen(['sleep', '600']); note('child', c.pid); say('up'); c.wait()",
    "escaping": "import subprocess; c = subprocess.Popen(['sleep', '600'], start_new_session=True); "
    "note('child', c.pid); say('up'); c.wait()",
    "stubborn": "import signal, time; signal.signal(15, signal.SIG_IGN); say('up'); time.sleep(600)",
    "broken": "say('I cannot'); raise SystemExit(3)",
    "slow": "import time; time.sleep(0.4); say('up'); time.sleep(600)",
    "once": "say('once')",
    "colourful": "import time; print('\\x1b[31mred\\x1b[0m \\x07 text'); say('up'); time.sleep(600)",
}
PRELUDE = """
import os, signal, sys
from pathlib import Path
directory, name = Path(sys.argv[1]), sys.argv[2]
def note(what, pid): (directory / f'{what}.pid').write_text(str(pid))
def say(what):
    with (directory / 'events').open('a') as events: print(name, what, file=events)
    print(what, flush=True)
note(name, os.getpid())
"""


def program(directory: Path, word: str) -> Program:
    """`word` is `name`, or `stage:name`."""
    stage, _, name = word.rpartition(":")
    code = PRELUDE + BEHAVIOURS[name]

    def start(output: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, str(directory), name]
        return spawn(command, env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1"}, output=output, cwd=directory)

    ready_line = "" if name == "once" else "up"
    return Program(name, start, stage=int(stage or 0), ready_line=ready_line, once=name == "once", grace=1.0)


def main(directory: Path, words: list[str]) -> int:
    """Run the programs until a signal comes."""
    log = Log([word.rpartition(":")[2] for word in words])
    ready = partial(lambda: (directory / "ready").touch())
    return Supervisor([program(directory, word) for word in words], log, on_ready=ready).run()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
