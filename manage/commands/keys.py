"""Encryption keys."""

from collections.abc import Iterator

import click

from manage.deployment import record, transaction, vault
from manage.groups import ManageGroup, output
from models.services.accounts import provider_keys, two_factor
from models.services.accounts.provider_keys import Rotated
from models.vault import Vault


@click.group(cls=ManageGroup)
def keys() -> None:
    """Rotate the keys that encrypt users' secrets."""


@keys.command()
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
def rotate(dry_run: bool) -> None:
    """Seal users' provider keys and second factors again with the first key of ENCRYPTION_KEYS.

    Put the new key first, restart every process, run this command, and remove the old key once nothing is left under
    it. The command may be stopped and started again at any time, without effect on users and runs.
    """
    ring = vault()
    sealed = unreadable = 0
    with output().progress(_batches(ring, dry_run), "Sealing keys") as batches:
        for batch in batches:
            sealed, unreadable = sealed + batch.sealed, unreadable + batch.unreadable
    if not dry_run:
        with transaction() as session:
            record(session, "keys.rotated", key=ring.current, sealed=sealed, unreadable=unreadable)
    word = "would be sealed" if dry_run else "sealed"
    output().document(
        {"key": ring.current, "sealed": sealed, "unreadable": unreadable, "dryRun": dry_run},
        f"{sealed} keys {word} with {ring.current}; {unreadable} cannot be opened with this key ring.",
    )
    if unreadable:
        click.get_current_context().exit(1)


def _batches(ring: Vault, dry_run: bool) -> Iterator[Rotated]:
    """Go through all rows in batches, each in its own transaction."""
    for seal_again in (provider_keys.rotate, two_factor.rotate):
        last, more = None, True
        while more:
            with transaction() as session:
                batch = seal_again(session, vault=ring, after=last, dry_run=dry_run)
            yield batch
            last = batch.last
            more = last is not None
