"""What is said when something came before what it belongs to."""

from models.errors import TransientError


class NotYet(TransientError):
    """It refers to a row of ours that is not here: not committed yet, or lost. Wait, then let a person look."""

    code = "not_yet"
