"""`python -m devstack.contract`: the API's description as it is committed, and its changes, told to those who call it.

`write` brings docs/openapi.json up to date, and adds a line to docs/CHANGELOG.md when it changed; `check` fails when
the committed description is not the one that the code makes, when its newest line is for another description, or when
lines that were there are gone. A line begins with a digest of the description, so it needs no history to be checked.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from api.openapi.__main__ import text

ROOT = Path(__file__).parent.parent
DESCRIPTION = "docs/openapi.json"
CHANGELOG = "docs/CHANGELOG.md"
LINE = re.compile(r"^- `([0-9a-f]{12})` \d{4}-\d\d-\d\d: \S.*$", re.MULTILINE)


class ContractBroken(Exception):
    """What is committed does not go together; the message says what to do."""


def main() -> int:
    """Write or check; status 1 when it does not go together."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", choices=("write", "check"))
    arguments.add_argument("says", nargs="?", default="", help="what changed for callers, in one line")
    given = arguments.parse_args()
    try:
        if given.what == "write":
            write(ROOT, text(), " ".join(given.says.split()))
        else:
            check(ROOT, text(), [_before(commit) for commit in ("HEAD", "HEAD^")])
    except ContractBroken as error:
        sys.stderr.write(f"The contract: {error}\n")
        return 1
    return 0


def write(root: Path, made: str, says: str) -> None:
    """Keep the description; a changed one is kept together with the line that says what changed."""
    changelog = root / CHANGELOG
    told = changelog.read_text()
    newest = LINE.search(told)
    if newest is None or newest[1] != digest(made):
        if not says:
            raise ContractBroken('it changed. Say to those who call the API how: make openapi SAYS="..."')
        line = f"- `{digest(made)}` {datetime.now(UTC):%Y-%m-%d}: {says}\n"
        place = newest.start() if newest else len(told)
        changelog.write_text(told[:place] + line + told[place:])
    (root / DESCRIPTION).write_text(made)


def check(root: Path, made: str, before: list[str]) -> None:
    """Raises `ContractBroken` unless code, description and changelog go together; `before` are older changelogs."""
    if (root / DESCRIPTION).read_text() != made:
        raise ContractBroken(f'{DESCRIPTION} is not what the code makes. make openapi SAYS="what changed for callers"')
    told = (root / CHANGELOG).read_text()
    newest = LINE.search(told)
    if newest is None or newest[1] != digest(made):
        raise ContractBroken(f'{CHANGELOG} says nothing of this description. make openapi SAYS="..."')
    gone = {line for old in before for line in _lines(old)} - set(_lines(told))
    if gone:
        raise ContractBroken(f"{CHANGELOG} has lost what it told before: {sorted(gone)[0]}")


def digest(made: str) -> str:
    """How a line of the changelog names a description."""
    return hashlib.sha256(made.encode()).hexdigest()[:12]


def _lines(told: str) -> list[str]:
    return [found[0] for found in LINE.finditer(told)]


def _before(commit: str) -> str:
    """The changelog of that commit; nothing where there is no history, or none that far back."""
    command = ["git", "show", f"{commit}:{CHANGELOG}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout if found.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
