"""One log of many processes, with a name and a colour before each line."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OTHER_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")


class Log:
    """Writes whole lines, each flushed, so that lines of different processes never mix."""

    def __init__(self, names: Sequence[str], *, stream: TextIO = sys.stdout, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._width = max((len(name) for name in names), default=0)
        self._paint = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
        self.broken = False

    def line(self, name: str, text: str) -> None:
        """Log one line of the process `name`."""
        prefix = f"{name:<{self._width}} | "
        if self._colour:
            self._write(f"\x1b[{self._paint.get(name, 37)}m{prefix}\x1b[0m{_OTHER_CONTROLS.sub('', text)}\x1b[0m")
        else:
            self._write(prefix + _OTHER_CONTROLS.sub("", _ESCAPES.sub("", text)))

    def say(self, text: str) -> None:
        """Log a message of the stack itself, of one or more lines."""
        self._write(f"\x1b[1m{text}\x1b[0m" if self._colour else text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (BrokenPipeError, OSError):  # the reader is gone: `make up | head`, a closed terminal
            self.broken = True
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())  # for Python's flush at exit


def wants_colour(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Whether to colour `stream`: a terminal, and no NO_COLOR in `env`; FORCE_COLOR overrules both."""
    if env.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
