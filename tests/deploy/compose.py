"""docker-compose.yml, as the tests of the deployment files read it."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
INSTANCES = {"api-1", "api-2", "api-3"}


def filled(value: str) -> str:
    """As Compose fills it in from a file in which everything that is demanded is set."""
    while (next_one := re.search(r"\$\{([A-Z0-9_]+)(?::([?+-])([^${}]*))?\}", value)) is not None:
        name, how, default = next_one.groups()
        value = value.replace(
            next_one[0],
            ("false" if name == "STRIPE_LIVEMODE" else "something") if how == "?" else default * (how == "-"),
        )
    return value
