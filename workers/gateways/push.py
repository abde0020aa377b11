"""Send push notifications through Expo's HTTP API and fetch their receipts.

https://docs.expo.dev/push-notifications/sending-notifications/
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.call_limits import CallLimits
from workers.gateways.http.client import USER_AGENT
from workers.gateways.http.connections import Reply
from workers.gateways.http.content import parse_json, retry_after
from workers.gateways.http.egress import Destination, Url, parse_url, resolve, system_resolver
from workers.gateways.http.event_loop import event_loop
from workers.gateways.http.pool import HttpPool, Request

EXPO_URL = "https://exp.host"
SEND = "/--/api/v2/push/send"
RECEIPTS = "/--/api/v2/push/getReceipts"
TOTAL_SECONDS = 15.0
MAX_TEXT_LENGTH = 1000  # characters; Expo takes 4 KiB in all

# Error words of tickets and receipts (Expo's documentation); unknown words are permanent failures.
GONE = "DeviceNotRegistered"
LATER = frozenset(["MessageRateExceeded", "ProviderError"])


@dataclass(frozen=True)
class Push:
    """One message for one device; `data` reaches the app and passes through Expo, so it holds only ids and states."""

    to: str = field(repr=False)  # an Expo push token
    title: str
    body: str
    data: dict[str, str]


class PushGateway:
    """Expo's push service at `base_url`; safe to use from many threads.

    Args:
        access_token: for accounts that demand one; sent as a bearer token.
        seconds: the total time of one `send`.
    """

    def __init__(
        self,
        base_url: str = EXPO_URL,
        *,
        access_token: str = "",
        pool: HttpPool | None = None,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._access_token = access_token
        self._pool = pool or HttpPool()
        self._seconds = seconds

    def send(self, push: Push) -> str | None:
        """Hand one message to Expo; return the ticket id by which its receipt can be fetched.

        Raises:
            CallFailed: `push_device_gone`, `push_refused` or `push_unavailable`.
        """
        return _accepted(_data(self._post(SEND, _body(push))))

    def receipts(self, tickets: Sequence[str]) -> dict[str, str | None]:
        """Fetch receipts, by ticket: Expo's error word, or None when delivered; tickets without a receipt are left out.

        Raises:
            CallFailed: `push_refused` or `push_unavailable`.
        """
        found = _data(self._post(RECEIPTS, orjson.dumps({"ids": list(tickets)})))
        if not isinstance(found, dict):
            raise _unreadable()
        return {ticket: _error(found[ticket]) for ticket in tickets if isinstance(found.get(ticket), dict)}

    def _post(self, path: str, body: bytes) -> Reply:
        url = parse_url(self._base + path)
        request = Request("POST", {"Host": url.authority, **self._headers()}, body)
        limits = CallLimits(Cancel(), self._seconds)
        return event_loop().wait(limits.hold(partial(self._exchange, url, request, limits)))

    async def _exchange(self, url: Url, request: Request, limits: CallLimits) -> Reply:
        destination = Destination(url, await resolve(url, system_resolver))
        return await self._pool.exchange(destination, request, limits)

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Content-Type": "application/json"}
        return headers | ({"Authorization": f"Bearer {self._access_token}"} if self._access_token else {})


def _body(push: Push) -> bytes:
    message = {"to": push.to, "title": push.title[:200], "body": push.body[:MAX_TEXT_LENGTH], "data": push.data}
    return orjson.dumps([message])


def _data(reply: Reply) -> Any:
    """Return the response's `data`; raises `CallFailed` when Expo refused the request."""
    if reply.status == 429 or reply.status >= 500:
        wait = retry_after(reply.headers)
        raise CallFailed("push_unavailable", f"Expo responded with {reply.status}.", retryable=True, retry_after=wait)
    if reply.status >= 300:
        raise CallFailed("push_refused", f"Expo refused the message with {reply.status}.")
    answer = parse_json(reply.body)
    return answer.get("data") if isinstance(answer, dict) else None


def _accepted(data: Any) -> str | None:
    """The id of the one ticket; raises what it says otherwise."""
    ticket = data[0] if isinstance(data, list) and data else data
    if not isinstance(ticket, dict):
        raise _unreadable()
    word = _error(ticket)
    if word is None:
        return str(ticket["id"])[:100] if ticket.get("id") else None
    if word == GONE:
        raise CallFailed("push_device_gone", "The device does not take messages any more.")
    if word in LATER:
        raise CallFailed("push_unavailable", f"Expo cannot deliver now: {word}.", retryable=True)
    raise CallFailed("push_refused", "Expo does not take this message.")


def _error(said: dict[str, Any]) -> str | None:
    """The error word of a ticket or a receipt; None when it reports success."""
    if said.get("status") == "ok":
        return None
    details = said.get("details")
    word = details.get("error") if isinstance(details, dict) else None
    return word if isinstance(word, str) and word.isidentifier() else "unknown"


def _unreadable() -> CallFailed:
    return CallFailed("push_unavailable", "Expo gave a response that is not readable.", retryable=True)
