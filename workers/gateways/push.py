"""Sends push notifications through Expo's HTTP API, over the process's pool of connections."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from workers.gateways.base import CallFailed, Cancel
from workers.gateways.content import parse_json, retry_after
from workers.gateways.egress import Destination, parse_url, resolve, system_resolver
from workers.gateways.http import USER_AGENT
from workers.gateways.watch import Watch
from workers.gateways.wire import HttpPool, Reply, Request

EXPO_URL = "https://exp.host"
PATH = "/--/api/v2/push/send"
TOTAL_SECONDS = 15.0
LONGEST_TEXT = 1000  # characters; Expo takes 4 KiB in all

# A ticket's error word, and what it means here; words that we do not know are for good.
GONE = "DeviceNotRegistered"
LATER = frozenset(["MessageRateExceeded", "ProviderError"])


@dataclass(frozen=True)
class Push:
    """One message for one device; `data` reaches the app, so only ids and words belong into it."""

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
        self._url = base_url.rstrip("/") + PATH
        self._access_token = access_token
        self._pool = pool or HttpPool()
        self._seconds = seconds

    def send(self, push: Push, *, cancel: Cancel | None = None) -> None:
        """Hand one message to Expo; raises `CallFailed`: `push_device_gone`, `push_refused` or `push_unavailable`."""
        url = parse_url(self._url)
        request = Request("POST", {"Host": url.authority, **self._headers()}, _body(push))
        with Watch(cancel or Cancel(), self._seconds) as watch:
            addresses = resolve(url, system_resolver, cancel=watch.cancel, deadline=watch.deadline)
            reply = self._pool.exchange(Destination(url, addresses), request, watch)
        _judge(reply)

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Content-Type": "application/json"}
        return headers | ({"Authorization": f"Bearer {self._access_token}"} if self._access_token else {})


def _body(push: Push) -> bytes:
    message = {"to": push.to, "title": push.title[:200], "body": push.body[:LONGEST_TEXT], "data": push.data}
    return orjson.dumps([message])


def _judge(reply: Reply) -> None:
    """An answer is good when its one ticket says so."""
    if reply.status == 429 or reply.status >= 500:
        wait = retry_after(reply.headers)
        raise CallFailed("push_unavailable", f"Expo answered {reply.status}.", retryable=True, retry_after=wait)
    if reply.status >= 300:
        raise CallFailed("push_refused", f"Expo refused the message with {reply.status}.")
    ticket = _ticket(parse_json(reply.body))
    if ticket.get("status") == "ok":
        return
    details = ticket.get("details")
    word = details.get("error") if isinstance(details, dict) else None
    if word == GONE:
        raise CallFailed("push_device_gone", "The device does not take messages any more.")
    if word in LATER:
        raise CallFailed("push_unavailable", f"Expo cannot deliver now: {word}.", retryable=True)
    raise CallFailed("push_refused", "Expo does not take this message.")


def _ticket(answer: Any) -> dict[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    ticket = data[0] if isinstance(data, list) and data else data
    if not isinstance(ticket, dict):
        raise CallFailed("push_unavailable", "Expo gave an answer that is not readable.", retryable=True)
    return ticket
