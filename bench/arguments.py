"""Options of benchmarks: each has sizes whose numbers mean something, and short ones that only show that it works."""

import argparse
from collections.abc import Mapping
from typing import Any


def parse(parser: argparse.ArgumentParser, short: Mapping[str, Any]) -> argparse.Namespace:
    """Read the command line; with `--short`, options that it does not name are those of `short`."""
    parser.add_argument("--short", action="store_true", help="only show that it works: numbers that say little")
    if parser.parse_known_args()[0].short:
        parser.set_defaults(**short)
    return parser.parse_args()
