"""Configuration of Flower in a container: its password comes from a file, as Flower itself reads variables only."""

import os
from pathlib import Path

if path := os.environ.get("FLOWER_BASIC_AUTH_FILE"):
    basic_auth = [Path(path).read_text().strip()]
