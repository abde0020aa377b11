"""Calls AI providers with the user's own key, and says in one vocabulary what went wrong. The key goes out in one
header and comes back nowhere: not in an error, not in a repr, not in a log.
"""

import re
from collections.abc import Mapping

import orjson

from models.rules.effects import ModelCall, TextAnswer
from models.rules.pricing import Provider
from settings import ProviderUrls
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.content import is_readable, parse_json, redact, retry_after
from workers.gateways.egress import Destination, invalid, parse_url, resolve, system_resolver
from workers.gateways.http import USER_AGENT
from workers.gateways.providers import anthropic, google, openai
from workers.gateways.providers.base import DEFAULT_MODELS, TITLES, BadAnswer, Format, Outgoing, tidy
from workers.gateways.watch import Watch
from workers.gateways.wire import HttpPool, Reply, Request

FORMATS: Mapping[Provider, Format] = {
    format_.provider: format_ for format_ in (openai.FORMAT, anthropic.FORMAT, google.FORMAT)
}

# What a status means when the provider's own words do not say more; what is not here is the request's fault.
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
    # The provider's own sentence about a wrong key quotes parts of it, so it is not repeated.
    "provider_key_rejected": "{title} does not accept the stored API key.",
    "provider_quota": "The {title} account behind the stored API key has no quota left{said}",
    "rate_limited": "{title} allows no more calls for the moment{said}",
    "model_not_found": "{title} has no model {model} for this key{said}",
    "context_too_long": "The prompt is longer than {title}'s model {model} can take{said}",
    "provider_overloaded": "{title} is overloaded{said}",
    "provider_unavailable": "{title} answered {status}{said}",
    "provider_refused": "{title} declined to answer{said}",
    "provider_invalid_request": "{title} refused the request with {status}{said}",
}
_BROKEN = frozenset(["connection_lost", "bad_response"])
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
_MODEL = re.compile(r"[A-Za-z0-9][\w.:@/-]{0,199}")
_KEY = re.compile(r"[\x21-\x7e]{1,1000}")


class Providers:
    """The AI providers at the operator's addresses, over a pool that may be shared; safe to use from many threads."""

    def __init__(self, urls: ProviderUrls, pool: HttpPool | None = None) -> None:
        self._bases = {Provider.OPENAI: urls.openai, Provider.ANTHROPIC: urls.anthropic, Provider.GOOGLE: urls.google}
        self._pool = pool or HttpPool()

    def call(self, call: ModelCall, *, api_key: str, cancel: Cancel, idempotency_key: str) -> TextAnswer:
        """What the model said; raises `CallFailed` (codes: docs/providers.md). Blocks up to `call.timeout` seconds."""
        format_ = FORMATS[call.provider]
        model = call.model or DEFAULT_MODELS[call.provider]
        key = api_key.strip()
        if not _KEY.fullmatch(key):
            raise _failed(call, "provider_key_rejected", model)
        if not _MODEL.fullmatch(model) or ".." in model:
            raise invalid("The model's name has characters that no model's name has.")
        outgoing = format_.write(call, model, key)
        with Watch(cancel, call.timeout) as watch:
            return self._ask(call, format_, model, _request(outgoing, idempotency_key), outgoing.path, key, watch)

    def accepts(self, provider: Provider, api_key: str, *, timeout: float = 15.0) -> bool:
        """Whether the provider takes this key, asked with a call that costs nothing.

        Raises `CallFailed` when its answer says neither, or when there is none within `timeout` seconds.
        """
        key = api_key.strip()
        if not _KEY.fullmatch(key):
            return False
        outgoing, asked = FORMATS[provider].models(key), ModelCall(provider, None, "")
        with Watch(Cancel(), timeout) as watch:
            try:
                reply = self._send(provider, outgoing.path, Request("GET", {**_HEADERS, **outgoing.headers}), watch)
            except BadAnswer:
                raise _failed(asked, "provider_unavailable", "") from None
        if reply.status < 300:
            return True
        failure = _refused(asked, FORMATS[provider], "", reply, key)
        if failure.code == "provider_key_rejected":
            return False
        raise failure

    def _ask(
        self, call: ModelCall, format_: Format, model: str, request: Request, path: str, key: str, watch: Watch
    ) -> TextAnswer:
        """Ask, and once more when what came back makes no sense."""
        for _ in range(2):
            try:
                reply = self._send(call.provider, path, request, watch)
                if reply.status < 300:
                    return _understood(format_, reply)
            except BadAnswer:
                continue
            raise _refused(call, format_, model, reply, key)
        sentence = f"{TITLES[call.provider]} gave an answer twice that is broken or incomplete."
        raise CallFailed("provider_bad_answer", sentence)

    def _send(self, provider: Provider, path: str, request: Request, watch: Watch) -> Reply:
        """One exchange with the operator's address: trusted, so no egress rule applies; redirects are not followed."""
        url = parse_url(self._bases[provider].rstrip("/") + path)
        addresses = resolve(url, system_resolver, cancel=watch.cancel, deadline=watch.deadline)
        sent = Request(request.method, {"Host": url.authority, **request.headers}, request.body)
        try:
            return self._pool.exchange(Destination(url, addresses), sent, watch)
        except CallFailed as failure:
            if failure.code in _BROKEN:
                raise BadAnswer from None
            raise


def _request(outgoing: Outgoing, idempotency_key: str) -> Request:
    try:
        body = orjson.dumps(outgoing.payload)
    except orjson.JSONEncodeError:
        raise invalid("The prompt has characters in it that are not text.") from None
    about = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    return Request("POST", {**_HEADERS, **about, **outgoing.headers}, body)


def _understood(format_: Format, reply: Reply) -> TextAnswer:
    parsed = parse_json(reply.body)
    if not is_readable(parsed):
        raise BadAnswer
    try:
        answer = format_.read(parsed)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise BadAnswer from None
    return answer


def _refused(call: ModelCall, format_: Format, model: str, reply: Reply, key: str) -> CallFailed:
    """An error answer in our words."""
    parsed = parse_json(reply.body)
    said = format_.refusal(parsed if is_readable(parsed) else None, reply.headers)
    code = format_.codes.get(said.kind) or BY_STATUS.get(reply.status)
    if code is None:
        code = "provider_unavailable" if reply.status >= 500 else "provider_invalid_request"
    wait = _milliseconds(reply.headers) or retry_after(reply.headers) or said.wait
    message = tidy(redact(said.message, [key]))
    return _failed(call, code, model, status=reply.status, said=message, wait=wait)


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
    return CallFailed(code, sentence, retryable=retryable, retry_after=wait if retryable else None)
