"""Seals users' provider keys and second factors again with the first key of ENCRYPTION_KEYS, for operators:

python -m tasks.commands.rotate_keys [--dry-run]

Put the new key first, restart every process, run this command, and remove the old key once nothing is left under it.
The command may be stopped and started again at any time, without effect on users and runs.
"""

import argparse
import sys
from collections.abc import Sequence

from models.db import connect, session_scope
from models.services.accounts import provider_keys, two_factor
from models.vault import Vault
from settings import process_settings


def main(arguments: Sequence[str]) -> int:
    """Go through all rows in batches; returns the exit status: 1 when some cannot be opened."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.commands.rotate_keys", description="Seal provider keys again."
    )
    parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")
    dry_run = parser.parse_args(arguments).dry_run
    settings = process_settings()
    connect(settings.database_url)
    vault = Vault(settings.encryption_keys)
    sealed = unreadable = 0
    for rotate in (provider_keys.rotate, two_factor.rotate):
        last, more = None, True
        while more:
            with session_scope() as session:
                batch = rotate(session, vault=vault, after=last, dry_run=dry_run)
            sealed, unreadable, last = sealed + batch.sealed, unreadable + batch.unreadable, batch.last
            more = last is not None
    word = "would be sealed" if dry_run else "sealed"
    sys.stdout.write(f"{sealed} keys {word} with {vault.current}; {unreadable} cannot be opened with this key ring.\n")
    return 1 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
