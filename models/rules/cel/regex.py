"""What a regular expression may cost, known before it is compiled. The engine never backtracks, but it can be large."""

import re

_CLASS = re.compile(r"\\[pP](?:\{[^}]*\}|.)|\\[wW]")
_TIMES = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_LETTERS = 60  # states of a class of all the world's letters, beside a plain character's one
_ANYTHING = 8  # states of a dot, a negated class or a small class


def states(pattern: str) -> int:
    """An upper estimate of the number of states of `pattern`, repetitions multiplied out."""
    groups: list[list[int]] = [[1, 0]]  # per open group: states so far, and those of its last atom
    at = 0
    while at < len(pattern):
        times = _TIMES.match(pattern, at)
        if pattern[at] == "{" and times:
            most = max((int(text) for text in times.groups() if text), default=1)
            total, last = groups[-1]
            groups[-1] = [total - last + last * max(1, most), last * max(1, most)]
            at = times.end()
            continue
        if pattern[at] == "(":
            groups.append([1, 0])
            at += 1
        elif pattern[at] == ")" and len(groups) > 1:
            inner = groups.pop()[0]
            groups[-1] = [groups[-1][0] + inner, inner]
            at += 1
        elif pattern[at] not in "*+?|^$":
            at, atom = _atom(pattern, at)
            groups[-1] = [groups[-1][0] + atom, atom]
        else:
            at += 1
    return sum(total for total, _ in groups)


def _atom(pattern: str, at: int) -> tuple[int, int]:
    """Where the atom at `at` ends, and its states."""
    if pattern[at] == "[":
        end = pattern.find("]", at + 2) + 1 or len(pattern)
        letters = len(_CLASS.findall(pattern[at:end])) * _LETTERS
        return end, letters + _ANYTHING
    if pattern[at] == "\\":
        match = _CLASS.match(pattern, at)
        return (match.end(), _LETTERS) if match else (at + 2, _ANYTHING)
    return at + 1, _ANYTHING if pattern[at] == "." else 1
