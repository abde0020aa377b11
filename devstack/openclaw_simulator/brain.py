"""Answers in place of a model: deterministic, and true of the text that the prompt brings along."""

import json
import re
from collections import Counter

STOP_WORDS = frozenset(
    """
    a about after all also an and any are as at be been but by can could did do for from had has have he her his
    how i if in into is it its just like me more most my no not of on one or our out over she so some such than
    that the their them then there these they this to up us very was we were what when which who will with would
    you your
    """.split()  # noqa: SIM905
)
GOOD = frozenset(
    """
    amazing appreciate best better brilliant calm clear delight delighted delightful easy enjoy excellent
    fantastic fast friendly glad good great happy helpful improve improved like love loved lovely nice perfect
    pleasant pleased quick recommend reliable satisfied smooth success superb thank thanks useful wonderful
    """.split()  # noqa: SIM905
)
BAD = frozenset(
    """
    angry annoying awful bad broken bug complaint confusing crash crashed delay delayed difficult disappointed
    disappointing dirty expensive fail failed failure frustrating hate horrible late lost mistake never noisy pain
    poor problem refund rude slow terrible unfortunately unhappy unusable useless worse worst wrong
    """.split()  # noqa: SIM905
)
ONE_WORD = re.compile(r"\b(one word|single word|only (?:the )?(?:word|label)|classif\w+|which category)\b", re.I)
ANALYSE = re.compile(r"\b(analy[sz]\w*|summar\w+|sentiment|extract\w*|describe|review|evaluat\w+|report)\b", re.I)
JSON_WANTED = re.compile(r"\bjson\b", re.I)
CHOICES = re.compile(r"(?:one of|either|as|into)[:\s]+((?:[\w-]+(?:\s*,\s*(?:or\s+)?|\s+or\s+|\s*/\s*))+[\w-]+)", re.I)


def answer(prompt: str, system: str = "") -> str:
    """What a model might have said."""
    instruction, text = split(prompt)
    wish = f"{instruction}\n{system}"
    facts = facts_of(text)
    if JSON_WANTED.search(wish):
        return json.dumps(facts, ensure_ascii=False)
    if ONE_WORD.search(wish):
        return _choice(wish, facts)
    if ANALYSE.search(wish):
        top = ", ".join(facts["topWords"]) or "none"
        return (
            f"The text has {facts['words']} words in {facts['sentences']} sentences and sounds {facts['sentiment']}. "
            f"Most frequent: {top}. In short: {facts['summary']}"
        )
    return f"Understood ({facts['words']} words): {facts['summary']}"


def split(prompt: str) -> tuple[str, str]:
    """The instruction, and the text that it is about (the whole prompt when they cannot be told apart)."""
    for mark in (r":\s*\n", r"\n\s*\n", r":\s+"):
        parts = re.split(mark, prompt, maxsplit=1)
        if len(parts) == 2 and parts[1].strip() and len(parts[0]) < 600:
            return parts[0], parts[1].strip()
    return prompt, prompt


def facts_of(text: str) -> dict[str, object]:
    """Plain counts, a crude mood, and the first sentence."""
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text.lower())
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    counted = Counter(word for word in words if len(word) > 2 and word not in STOP_WORDS)
    top = [word for word, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:5]]
    good, bad = sum(word in GOOD for word in words), sum(word in BAD for word in words)
    score = round((good - bad) / (good + bad), 2) if good + bad else 0.0
    mood = "positive" if score > 0.2 else "negative" if score < -0.2 else "neutral"
    return {
        "words": len(words),
        "sentences": len(sentences),
        "topWords": top,
        "sentiment": mood,
        "score": score,
        "summary": (sentences[0] if sentences else "")[:200],
    }


def _choice(wish: str, facts: dict[str, object]) -> str:
    """The mood when it is among the offered words, else the first word on offer."""
    mood = str(facts["sentiment"])
    offered = CHOICES.search(wish)
    choices = re.split(r"\s*,\s*(?:or\s+)?|\s+or\s+|\s*/\s*", offered.group(1)) if offered else []
    if not choices or mood in (choice.lower() for choice in choices):
        return mood
    return choices[0]
