"""How runs are watched: how long to wait for news, and what is news."""

from typing import Any

from api.schemas.base import BIGINT_MAX, Query, Whole
from api.schemas.executions import ExecutionsQuery

MOST_SECONDS = 30  # of a long poll; proxies and phones cut longer ones


class Wait(Whole):
    """Seconds to wait for news."""

    def __init__(self) -> None:
        super().__init__(low=0, high=BIGINT_MAX, load_default=0)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return min(super()._deserialize(value, attr, data, **kwargs), MOST_SECONDS)


class WatchedQuery(ExecutionsQuery):
    """The same, and how long to wait for news of those `ids`, in seconds (more than 30 is 30)."""

    wait = Wait()


class WatchQuery(Query):
    """How long to wait for news, in seconds (more than 30 is 30), and the `seq` after which events are news."""

    wait = Wait()
    since = Whole(low=0, high=BIGINT_MAX, load_default=None)


class EventsQuery(Query):
    """Where a stream goes on."""

    after = Whole(low=0, high=BIGINT_MAX, load_default=None)
