"""`python -m devstack.containers up | down`: the demo of docker-compose.yml and docker-compose.demo.yml."""

import sys

from devstack.containers import demo
from devstack.processes.process import DevstackError

COMMANDS = {"up": demo.up, "down": demo.down}


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[arguments[0]]()
    except DevstackError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
