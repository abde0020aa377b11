"""`python -m devstack.description.contract`: keep the committed API description and its changelog up to date.

`write` brings docs/openapi.json up to date, and adds a line to docs/api-changelog.md when it changed; `check` fails
when the committed description is not the one that the code generates, when the newest line is for another description,
or when older lines are missing. A line begins with a digest of the description, so it is checked without git history.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from api.__main__ import text

ROOT = Path(__file__).parents[2]
DESCRIPTION = "docs/openapi.json"
CHANGELOG = "docs/api-changelog.md"
LINE = re.compile(r"^- `([0-9a-f]{12})` \d{4}-\d\d-\d\d: \S.*$", re.MULTILINE)


class ContractBroken(Exception):
    """The committed files do not match; the message says what to do."""


def main() -> int:
    """Write or check; return 1 when the files do not match."""
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
    """Write the description, and for a changed one the line that says what changed."""
    changelog = root / CHANGELOG
    content = changelog.read_text()
    newest = LINE.search(content)
    if newest is None or newest[1] != digest(made):
        if not says:
            raise ContractBroken('it changed. Describe the change for callers: make openapi SAYS="..."')
        line = f"- `{digest(made)}` {datetime.now(UTC):%Y-%m-%d}: {says}\n"
        position = newest.start() if newest else len(content)
        changelog.write_text(content[:position] + line + content[position:])
    (root / DESCRIPTION).write_text(made)


def check(root: Path, made: str, before: list[str]) -> None:
    """Raise `ContractBroken` unless code, description and changelog match; `before` are older changelogs."""
    if (root / DESCRIPTION).read_text() != made:
        raise ContractBroken(
            f'{DESCRIPTION} differs from what the code generates. make openapi SAYS="what changed for callers"'
        )
    content = (root / CHANGELOG).read_text()
    newest = LINE.search(content)
    if newest is None or newest[1] != digest(made):
        raise ContractBroken(f'{CHANGELOG} has no line for this description. make openapi SAYS="..."')
    gone = {line for old in before for line in _lines(old)} - set(_lines(content))
    if gone:
        raise ContractBroken(f"{CHANGELOG} has lost an earlier line: {sorted(gone)[0]}")


def digest(made: str) -> str:
    """The digest that identifies a description in its line of the changelog."""
    return hashlib.sha256(made.encode()).hexdigest()[:12]


def _lines(content: str) -> list[str]:
    return [found[0] for found in LINE.finditer(content)]


def _before(commit: str) -> str:
    """The changelog at that commit; empty when there is no such commit."""
    command = ["git", "show", f"{commit}:{CHANGELOG}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout if found.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
