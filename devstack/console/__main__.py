"""The console's command line: `python -m devstack.console build [--if-possible] | check | test ARGUMENTS...`.

`build` does nothing if the console is built from the same sources already; with `--if-possible` it says what is missing
instead of failing. `check` runs all of the console's own checks, `test` the journeys.
"""

import sys

from devstack.console import build, journeys
from devstack.processes.process import DevstackError

COMMANDS = {"build": build.main, "check": build.check, "test": journeys.main}


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    name, *rest = arguments or [""]
    if name not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[name](rest)
    except DevstackError as error:
        print(error)
        return 0 if "--if-possible" in rest else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
