"""The categories of the gallery. Clients call some of them by their label or by an older name."""

from enum import StrEnum


class Category(StrEnum):
    """The categories for which the mobile app has filters; authors may use others."""

    DATA = "data"
    COMMUNICATION = "communication"
    ANALYSIS = "analysis"
    AUTOMATION = "automation"


ALIASES = {"data processing": Category.DATA, "marketing": Category.COMMUNICATION}


def category_of(name: str) -> str:
    """The category with this name or alias; an unknown name is returned unchanged, without surrounding space."""
    lowered = name.strip().lower()
    known = ALIASES.get(lowered) or next((category for category in Category if category == lowered), None)
    return name.strip() if known is None else known.value
