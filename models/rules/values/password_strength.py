"""Detects weak passwords: common, leaked, regular, or containing the name or email address of their owner.

zxcvbn estimates how many guesses a password takes, from lists of leaked passwords, names and words, and from dates,
keyboard patterns and common substitutions. Its time grows steeply with the length, so the password is split into
pieces of 16 characters, which take 17 ms at most; a password is as strong as its strongest piece.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator

from zxcvbn_rs_py import zxcvbn

SERVICE = "agentforge"
MIN_PART_LENGTH = 4  # of the parts of a name that a password must not contain; shorter ones are in many words
PIECE, MAX_PIECES = 16, 4
MIN_GUESSES = 1_000_000


def weakness(password: str, about: Collection[str] = ()) -> str | None:
    """Say what is wrong with a password, as the end of a sentence about it; None if it is strong enough.

    Args:
        password: a password of any length.
        about: texts about its owner, such as the name and the local part of the email address.
    """
    plain = _plain(password)
    for part in _parts(about):
        if part in plain:
            return "must not contain your name, your email address or ours"
    parts = [*about, SERVICE]
    pieces = (password[at : at + PIECE] for at in range(0, min(len(password), PIECE * MAX_PIECES), PIECE))
    if all(zxcvbn(piece, parts).guesses < MIN_GUESSES for piece in pieces):
        return "is too easy to guess: choose a longer one, such as a few words that do not belong together"
    return None


def _parts(about: Collection[str]) -> Iterator[str]:
    """The name of the service, and each text and each of its words, if they are long enough."""
    yield SERVICE
    for text in about:
        for word in (text, *re.split(r"[\W_]+", text)):
            if len(part := _plain(word)) >= MIN_PART_LENGTH:
                yield part


def _plain(text: str) -> str:
    """The letters and digits of a text, case-folded."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
