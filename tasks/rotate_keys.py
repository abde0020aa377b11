"""Seals users' provider keys again with the first key of ENCRYPTION_KEYS, for operators:

python -m tasks.rotate_keys [--dry-run]

Put the new key in front, restart every process, run this, and take the old key out once nothing is left. It may be
stopped and started again at any time, and users and runs notice nothing.
"""

import argparse
import sys
from collections.abc import Sequence

from celery_config import settings
from models.db import connect, session_scope
from models.services import provider_keys
from models.vault import Vault


def main(arguments: Sequence[str]) -> int:
    """Go through all rows in batches; answers the exit status: 1 when some cannot be opened."""
    parser = argparse.ArgumentParser(prog="python -m tasks.rotate_keys", description="Seal provider keys again.")
    parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")
    dry_run = parser.parse_args(arguments).dry_run
    connect(settings.database_url)
    vault = Vault(settings.encryption_keys)
    sealed = unreadable = 0
    last, more = None, True
    while more:
        with session_scope() as session:
            batch = provider_keys.rotate(session, vault=vault, after=last, dry_run=dry_run)
        sealed, unreadable, last = sealed + batch.sealed, unreadable + batch.unreadable, batch.last
        more = last is not None
    word = "would be sealed" if dry_run else "sealed"
    sys.stdout.write(f"{sealed} keys {word} with {vault.current}; {unreadable} cannot be opened with this key ring.\n")
    return 1 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
