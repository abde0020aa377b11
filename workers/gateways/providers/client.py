"""Call AI providers with the user's own key and report failures in one vocabulary.

The key is sent in one header and appears in no error, repr or log.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

import orjson

from models.rules.graph.effects import ModelCall, TextResult
from models.rules.prices.pricing import Provider
from settings import ProviderUrls
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.call_limits import CallLimits
from workers.gateways.http.client import USER_AGENT
from workers.gateways.http.connections import Reply
from workers.gateways.http.content import is_readable, parse_json, redact, retry_after
from workers.gateways.http.egress import Destination, invalid, parse_url, resolve, system_resolver
from workers.gateways.http.event_loop import event_loop
from workers.gateways.http.pool import HttpPool, Request
from workers.gateways.providers import anthropic, google, openai
from workers.gateways.providers.base import DEFAULT_MODELS, TITLES, BadResponse, Format, Outgoing, reported_error, tidy

FORMATS: Mapping[Provider, Format] = {
    format_.provider: format_ for format_ in (openai.FORMAT, anthropic.FORMAT, google.FORMAT)
}

# The code of a status when the provider's error word has none; other statuses below 500 are the request's fault.
BY_STATUS: Mapping[int, str] = {
    401: "provider_key_rejected",
    402: "provider_quota",
    403: "provider_key_rejected",
    404: "model_not_found",
    408: "provider_unavailable",
    409: "provider_unavailable",
    413: "context_too_long",
    429: "rate_limited",
    503: "provider_overloaded",
    529: "provider_overloaded",
}
RETRYABLE = frozenset(["rate_limited", "provider_overloaded", "provider_unavailable"])
SENTENCES: Mapping[str, str] = {
    # A provider's sentence about a wrong key quotes parts of it, so it is not repeated.
    "provider_key_rejected": "{title} does not accept the stored API key.",
    "provider_quota": "The {title} account behind the stored API key has no quota left{said}",
    "rate_limited": "{title} allows no more calls for the moment{said}",
    "model_not_found": "{title} has no model {model} for this key{said}",
    "context_too_long": "The prompt is longer than {title}'s model {model} can take{said}",
    "provider_overloaded": "{title} is overloaded{said}",
    "provider_unavailable": "{title} responded with {status}{said}",
    "provider_refused": "{title} declined to respond{said}",
    "provider_invalid_request": "{title} refused the request with {status}{said}",
}
_BROKEN = frozenset(["connection_lost", "bad_response"])
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
_MODEL = re.compile(r"[A-Za-z0-9][\w.:@/-]{0,199}")
_KEY = re.compile(r"[\x21-\x7e]{1,1000}")


class Providers:
    """Calls AI providers at the configured addresses, over a pool that may be shared; safe to use from many threads."""

    def __init__(self, urls: ProviderUrls, pool: HttpPool | None = None) -> None:
        self._bases: Mapping[str, str] = asdict(urls)
        self._pool = pool or HttpPool()

    def call(self, call: ModelCall, *, api_key: str, cancel: Cancel, idempotency_key: str) -> TextResult:
        """Return the model's text, within `call.timeout` seconds; raises `CallFailed` (codes: docs/providers.md)."""
        format_ = FORMATS[call.provider]
        model = call.model or DEFAULT_MODELS[call.provider]
        key = api_key.strip()
        if not _KEY.fullmatch(key):
            raise _failed(call, "provider_key_rejected", model)
        if not _MODEL.fullmatch(model) or ".." in model:
            raise invalid("The model's name contains characters that are not allowed in it.")
        outgoing = format_.write(call, model, key)
        limits, request = CallLimits(cancel, call.timeout), _request(outgoing, idempotency_key)
        asking = partial(self._ask, call, format_, model, request, outgoing.path, key, limits)
        return event_loop().wait(limits.hold(asking))

    def accepts(self, provider: Provider, api_key: str, *, timeout: float = 15.0) -> bool:
        """Whether the provider accepts this key, checked with a request that costs nothing.

        Raises `CallFailed` when the response does not tell, or when none comes within `timeout` seconds.
        """
        key = api_key.strip()
        if not _KEY.fullmatch(key):
            return False
        outgoing, asked = FORMATS[provider].models(key), ModelCall(provider, None, "")
        limits = CallLimits(Cancel(), timeout)
        request = Request("GET", {**_HEADERS, **outgoing.headers})
        try:
            reply = event_loop().wait(limits.hold(partial(self._send, provider, outgoing.path, request, limits)))
        except BadResponse:
            raise _failed(asked, "provider_unavailable", "") from None
        if _is_answer(reply):
            return True
        failure = _refused(asked, FORMATS[provider], "", reply, key)
        if failure.code == "provider_key_rejected":
            return False
        raise failure

    async def _ask(
        self,
        call: ModelCall,
        format_: Format,
        model: str,
        request: Request,
        path: str,
        key: str,
        limits: CallLimits,
    ) -> TextResult:
        """Call the provider, and once more when the response is malformed."""
        for _ in range(2):
            try:
                reply = await self._send(call.provider, path, request, limits)
                if _is_answer(reply):
                    return _understood(format_, reply)
            except BadResponse:
                continue
            raise _refused(call, format_, model, reply, key)
        sentence = f"{TITLES[call.provider]} gave a broken or incomplete response twice."
        raise CallFailed("provider_bad_answer", sentence)

    async def _send(self, provider: Provider, path: str, request: Request, limits: CallLimits) -> Reply:
        """Send one request to the configured address, exempt from the egress rules; redirects are not followed."""
        url = parse_url(self._bases[provider].rstrip("/") + path)
        addresses = await resolve(url, system_resolver)
        sent = Request(request.method, {"Host": url.authority, **request.headers}, request.body)
        try:
            return await self._pool.exchange(Destination(url, addresses), sent, limits)
        except CallFailed as failure:
            if failure.code in _BROKEN:
                raise BadResponse from None
            raise


def _request(outgoing: Outgoing, idempotency_key: str) -> Request:
    try:
        body = orjson.dumps(outgoing.payload)
    except orjson.JSONEncodeError:
        raise invalid("The prompt contains characters that are not valid text.") from None
    about = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    return Request("POST", {**_HEADERS, **about, **outgoing.headers}, body)


def _understood(format_: Format, reply: Reply) -> TextResult:
    parsed = parse_json(reply.body)
    if not is_readable(parsed):
        raise BadResponse
    try:
        answer = format_.read(parsed)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise BadResponse from None
    return answer


def _is_answer(reply: Reply) -> bool:
    """Whether the response is a success; some errors come with a 200, sent before the error occurred."""
    return reply.status < 300 and not reported_error(parse_json(reply.body))


def _refused(call: ModelCall, format_: Format, model: str, reply: Reply, key: str) -> CallFailed:
    """Turn an error response into `CallFailed`."""
    parsed = parse_json(reply.body)
    said = format_.refusal(parsed if is_readable(parsed) else None, reply.headers)
    status = reply.status
    if status < 300:  # the body names the error; an unknown one counts as a failure of the provider's gateway
        status = said.status or format_.statuses.get(said.kind) or 502
    code = format_.codes.get(said.kind) or BY_STATUS.get(status)
    if code is None:
        code = "provider_unavailable" if status >= 500 else "provider_invalid_request"
    wait = _milliseconds(reply.headers) or retry_after(reply.headers) or said.wait
    message = tidy(redact(said.message, [key]))
    return _failed(call, code, model, status=status, said=message, wait=wait)


def _milliseconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after-ms", "")
    return min(int(value) / 1000, 3600.0) if re.fullmatch(r"\d{1,9}", value) else None


def _failed(
    call: ModelCall, code: str, model: str, *, status: int = 0, said: str = "", wait: float | None = None
) -> CallFailed:
    sentence = SENTENCES[code].format(
        title=TITLES[call.provider], model=model, status=status, said=f": {said}" if said else "."
    )
    retryable = code in RETRYABLE
    after = wait if retryable else None
    return CallFailed(code, sentence, retryable=retryable, retry_after=after, sent=status > 0)
