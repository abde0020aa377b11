"""Tries out the keys that users stored. The message carries a row's id; the key is opened just before the call."""

from uuid import UUID

from celery_config import app
from tasks.lifecycle import gateways
from tasks.queue import TaskName
from workers.provider_keys import try_out


@app.task(name=TaskName.TEST_KEY)
def try_key(key_id: str) -> None:
    """Ask the provider whether it takes a key. Safe to deliver twice: asking costs nothing."""
    try_out(UUID(key_id), gateways().providers, gateways().vault)
