"""Secrets of one machine's stack, generated once and readable by their owner only."""

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.processes.process import locked, write_private


@dataclass(frozen=True)
class Credentials:
    """The secrets that the programs of a stack share."""

    jwt_secret: str
    encryption_keys: str
    flower_password: str
    openclaw_token: str
    stripe_secret_key: str
    stripe_webhook_secret: str
    demo_password: str


def credentials(directory: Path) -> Credentials:
    """Read the secrets in `directory`; missing ones are generated and stored."""
    path = directory / "secrets.json"
    with locked(directory / "secrets.lock"):
        kept = json.loads(path.read_text()) if path.exists() else {}
        complete = asdict(_new()) | kept
        if complete != kept:
            write_private(path, json.dumps(complete, indent=2) + "\n")
        return Credentials(**complete)


def _new() -> Credentials:
    """Generate secrets, in hexadecimal, so that none starts with a dash or needs escaping in a URL."""
    return Credentials(
        jwt_secret=secrets.token_hex(32),
        encryption_keys="k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        flower_password=secrets.token_hex(8),
        openclaw_token=secrets.token_hex(24),
        stripe_secret_key="sk_test_" + secrets.token_hex(16),
        stripe_webhook_secret="whsec_" + secrets.token_hex(16),
        demo_password=secrets.token_hex(6),
    )
