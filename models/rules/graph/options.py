"""The options that nodes of every type have besides their config, as the linter checks them and forms show them."""

from models.rules.graph.graph import Retry
from models.rules.graph.kinds import Field

MAX_TIMEOUT = 3_600  # seconds
MAX_DEADLINE = 90 * 86_400  # seconds

RETRY = (
    Field(
        "maxAttempts",
        "number",
        low=1,
        high=10,
        whole=True,
        title="Attempts",
        help="The first one included. The default is that of the type.",
    ),
    Field(
        "initialInterval",
        "number",
        low=0,
        high=600,
        title="First pause",
        unit="seconds",
        default=Retry.initial_interval,
    ),
    Field(
        "backoff",
        "number",
        low=1,
        high=10,
        title="Growth",
        help="Each pause is so many times as long as the one before.",
        default=Retry.backoff,
    ),
    Field(
        "maxInterval",
        "number",
        low=0,
        high=3_600,
        title="Longest pause",
        unit="seconds",
        default=Retry.max_interval,
    ),
)
TIMEOUT = Field(
    "timeout",
    "number",
    low=0,
    above_low=True,
    high=MAX_TIMEOUT,
    title="Timeout",
    help="Of one attempt, or of the whole node if its type makes no attempts.",
    unit="seconds",
)
DEADLINE = Field(
    "deadline",
    "number",
    low=0,
    above_low=True,
    high=MAX_DEADLINE,
    title="Deadline",
    help="Of the node as a whole: its attempts, the pauses between them, its time in a provider's queue.",
    unit="seconds",
)
ON_ERROR = Field(
    "onError",
    "choice",
    choices=("fail", "continue", "branch"),
    title="If it fails",
    help="The run fails, or goes on with the default value, or takes the port `error`.",
    default="fail",
)
DEFAULT_VALUE = Field(
    "defaultValue",
    "value",
    title="Default value",
    help="The output of the node if it fails.",
    when={"onError": ("continue",)},
)
ON_CRASH = Field(
    "onCrash",
    "choice",
    choices=("retry", "fail"),
    title="If its worker dies",
    help="An attempt in progress is made again, or fails. For types that make attempts.",
    default="retry",
)
SIDE_EFFECTS = Field(
    "sideEffects",
    "choice",
    choices=("once",),
    title="Side effects",
    help="With `once`, a retry of the run needs confirmation before the node acts a second time.",
)
CHOICES = (ON_ERROR, ON_CRASH, SIDE_EFFECTS)
LIMITS = (TIMEOUT, DEADLINE)


def in_range(option: Field, value: float) -> bool:
    """Whether a number is one that the option may have."""
    low = option.low if option.low is not None else value
    high = option.high if option.high is not None else value
    is_high_enough = value > low if option.above_low else value >= low
    return is_high_enough and value <= high and (not option.whole or value == int(value))
