"""What a regular expression may cost, known before it is compiled. The engine never backtracks, but it can be large."""

import re

_CLASS = re.compile(r"\\[pP](?:\{[^}]*\}|.)|\\[wW]")
_TIMES = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_LETTERS = 60  # states of a class of all the world's letters, beside a plain character's one
_ANYTHING = 8  # states of a dot, a negated class or a small class


def states(pattern: str) -> int:
    """An upper estimate of the number of states of `pattern`, repetitions multiplied out."""
    groups: list[tuple[int, int]] = [(1, 0)]  # per open group: states so far, and those of its last atom
    at = 0
    while at < len(pattern):
        total, last = groups[-1]
        times = _TIMES.match(pattern, at)
        if times:
            most = max([1, *(int(text[:6]) for text in times.groups() if text)])
            groups[-1] = (total - last + last * most, last * most)
            at = times.end()
        elif pattern[at] == "(":
            groups.append((1, 0))
            at += 1
        elif pattern[at] == ")" and len(groups) > 1:
            inner = groups.pop()[0]
            groups[-1] = (groups[-1][0] + inner, inner)
            at += 1
        elif pattern[at] in "*+?|^$":
            at += 1
        else:
            at, atom = _atom(pattern, at)
            groups[-1] = (total + atom, atom)
    return sum(total for total, _ in groups)


def _atom(pattern: str, at: int) -> tuple[int, int]:
    """Where the atom at `at` ends, and its states."""
    if pattern[at] == "[":
        end = pattern.find("]", at + 2) + 1 or len(pattern)
        return end, len(_CLASS.findall(pattern[at:end])) * _LETTERS + _ANYTHING
    if pattern[at] == "\\":
        match = _CLASS.match(pattern, at)
        return (match.end(), _LETTERS) if match else (at + 2, _ANYTHING)
    return at + 1, _ANYTHING if pattern[at] == "." else 1
