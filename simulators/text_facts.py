"""Responses of the simulated models: facts about the text in the prompt, always the same ones.

The first blank line, a `String:` line or triple quotes separate the instruction from its text, else all of it is the
text. Directives for the simulators (`[[sim:...]]`, `[[...]]`) are not part of the text. A prompt that says "JSON"
gets a JSON object, any other one a few sentences.
"""

import json
import re
from collections import Counter

_DIRECTIVE = re.compile(r"\[\[[^\]]*\]\]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE = re.compile(r"[^.!?…]+[.!?…]*")
_QUOTED = re.compile(r'"""(.+?)"""|```(?:\w*\n)?(.+?)```', re.DOTALL)
_LABEL = re.compile(r"(?:^|\n)[^\n]{0,200}:[ \t]*\n")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _words(
    """a about after all also an and any are as at be because been but by can could did do does for from had has have
    he her him his how i if in into is it its just like may more most my no not now of on one only or other our out
    over s she should so some such t than that the their them then there these they this those to too up was we were
    what when where which who will with would you your"""
)
_GOOD = _words(
    """amazing beautiful best better brilliant delight delighted easy enjoy enjoyed excellent fantastic fast friendly
    fun glad good great happy helpful impressed improve improved love loved lovely nice perfect pleased quick
    recommend reliable smooth success superb thank thanks win wonderful works"""
)
_BAD = _words(
    """angry annoying awful bad blame rude break broke broken bug complaint confusing crash crashed crashes delayed
    difficult disappointed disappointing error fail failed fails failure hate horrible late lost never poor problem
    refund sad slow terrible ugly unhappy unreliable useless waste worse worst wrong"""
)


def describe(prompt: str) -> str:
    """Facts about the prompt's text: as JSON if the prompt asks for it, else in sentences."""
    cleaned = _DIRECTIVE.sub("", prompt).strip()
    instruction, text = _split(cleaned)
    found = facts(text)
    if re.search(r"\bjson\b", instruction, re.IGNORECASE):
        return json.dumps(found, ensure_ascii=False)
    return _sentences(found)


def facts(text: str) -> dict[str, object]:
    """Counts, frequent words, a crude sentiment (`positive`, `negative`, `neutral`, with a score -1..1), a summary."""
    words = [word.lower() for word in _WORD.findall(text)]
    sentences = [found.strip() for found in _SENTENCE.findall(text) if _WORD.search(found)]
    frequent = Counter(word for word in words if len(word) > 2 and word not in _COMMON)
    good, bad = (sum(word in known for word in words) for known in (_GOOD, _BAD))
    score = round((good - bad) / max(good + bad, 1), 2)
    top = [word for word, _ in sorted(frequent.items(), key=lambda pair: (-pair[1], pair[0]))[:5]]
    return {
        "summary": _shorten(sentences[0]) if sentences else "",
        "words": len(words),
        "sentences": len(sentences),
        "characters": len(text),
        "topWords": top,
        "topics": top[:3],
        "sentiment": "positive" if score > 0 else "negative" if score < 0 else "neutral",
        "score": score,
    }


def _split(prompt: str) -> tuple[str, str]:
    """Split a prompt into its instruction and its text."""
    if quoted := _QUOTED.search(prompt):
        return prompt[: quoted.start()] + prompt[quoted.end() :], (quoted[1] or quoted[2]).strip()
    if label := _LABEL.search(prompt):
        return prompt[: label.end()], prompt[label.end() :].strip()
    instruction, blank, text = prompt.partition("\n\n")
    return (instruction, text.strip()) if blank and text.strip() else (prompt, prompt)


def _sentences(found: dict[str, object]) -> str:
    top = found["topWords"]
    about = f" Its most frequent words are {', '.join(top)}." if isinstance(top, list) and top else ""
    begins = f" It begins: {found['summary']}" if found["summary"] else ""
    return (
        f"The text has {found['words']} words in {found['sentences']} sentences and sounds {found['sentiment']}."
        f"{about}{begins}"
    )


def _shorten(sentence: str, limit: int = 160) -> str:
    flat = " ".join(sentence.split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
