"""Answers in place of a model: deterministic facts about the prompt's text."""

import json
import re

from simulators.text_facts import facts as facts_in

ONE_WORD = re.compile(r"\b(one word|single word|only (?:the )?(?:word|label)|classif\w+|which category)\b", re.I)
ANALYSE = re.compile(r"\b(analy[sz]\w*|summar\w+|sentiment|extract\w*|describe|review|evaluat\w+|report)\b", re.I)
JSON_WANTED = re.compile(r"\bjson\b", re.I)
CHOICES = re.compile(r"(?:one of|either|as|into)[:\s]+((?:[\w-]+(?:\s*,\s*(?:or\s+)?|\s+or\s+|\s*/\s*))+[\w-]+)", re.I)


def canned_answer(prompt: str, system: str = "") -> str:
    """The answer to a prompt."""
    instruction, text = split(prompt)
    instructions = f"{instruction}\n{system}"
    facts = facts_in(text)
    if JSON_WANTED.search(instructions):
        return json.dumps(facts, ensure_ascii=False)
    if ONE_WORD.search(instructions):
        return _choice(instructions, facts)
    if ANALYSE.search(instructions):
        return (
            f"The text has {facts['words']} words in {facts['sentences']} sentences and sounds {facts['sentiment']}. "
            f"It is about {facts['topics']}. In short: {facts['summary']}"
        )
    return f"Understood ({facts['words']} words): {facts['summary']}"


def split(prompt: str) -> tuple[str, str]:
    """Split a prompt into its instruction and its text (the whole prompt if it has no separator)."""
    for mark in (r":\s*\n", r"\n\s*\n", r":\s+"):
        parts = re.split(mark, prompt, maxsplit=1)
        if len(parts) == 2 and parts[1].strip() and len(parts[0]) < 600:
            return parts[0], parts[1].strip()
    return prompt, prompt


def _choice(instructions: str, facts: dict[str, object]) -> str:
    """The text's sentiment if it is among the offered words, else the first offered word."""
    mood = str(facts["sentiment"])
    offered = CHOICES.search(instructions)
    choices = re.split(r"\s*,\s*(?:or\s+)?|\s+or\s+|\s*/\s*", offered.group(1)) if offered else []
    if not choices or mood in (choice.lower() for choice in choices):
        return mood
    return choices[0]
