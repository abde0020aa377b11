"""Runs other programs of this deployment: our tasks' commands, and the scripts in `deploy/`."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent


def run(
    command: Sequence[str], *, variables: Mapping[str, str] | None = None, without: frozenset[str] = frozenset()
) -> str:
    """Run a program to its end and return its output, which it shows as it comes on standard error.

    It gets `variables`, and of our environment none of `without`. Raises `click.ClickException` if it fails or is not
    installed.
    """
    env = {name: value for name, value in environment(variables).items() if name not in without}
    try:
        with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as program:
            lines = []
            for line in program.stdout or ():
                sys.stderr.write(line)
                lines.append(line)
    except FileNotFoundError as error:
        raise click.ClickException(f"{error.filename} is not installed here.") from error
    if program.returncode:
        raise click.ClickException(f"{' '.join(command[:3])} failed with status {program.returncode}.")
    return "".join(lines)


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process for another one, with further `variables`."""
    return {**os.environ, **(variables or {})}
