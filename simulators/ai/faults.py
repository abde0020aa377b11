"""Faults of the simulated providers: statuses, used-up quotas in every known form, prompts that are too long."""

from collections.abc import Mapping

from simulators.ai.formats import Anthropic, Google, Json, ModelFault, ModelRequest, OpenAi, Speaker, tokens

_PER_DAY = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"}
_PER_MINUTE = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "5"}
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_SOON: Json = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}

# Real responses of providers: `quota` is a provider's first one, `quota=NAME` another one. Waiting does not help.
QUOTAS: Mapping[Speaker, Mapping[str, ModelFault]] = {
    OpenAi: {
        "": ModelFault(429, "insufficient_quota", _QUOTA, {"retry-after": "60"}),
        "untyped": ModelFault(429, "", _QUOTA, {}),
        "billing": ModelFault(429, "billing_not_active", "Your account is not active, please check your billing.", {}),
        "router": ModelFault(402, "402", "Insufficient credits. Add more to go on.", {}),
    },
    Anthropic: {
        "": ModelFault(402, "billing_error", "There is a problem with your billing.", {}),
        "balance": ModelFault(
            400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", {}
        ),
        "limit": ModelFault(
            400, "invalid_request_error", "You have reached your specified API usage limits.", {"retry-after": "60"}
        ),
        "spend": ModelFault(429, "rate_limit_error", "Your organization has reached its monthly spend limit.", {}),
    },
    Google: {
        "": ModelFault(429, "RESOURCE_EXHAUSTED", _QUOTA, {}, ({"violations": [_PER_MINUTE, _PER_DAY]}, _SOON)),
        "nolimit": ModelFault(
            429, "RESOURCE_EXHAUSTED", f"{_QUOTA} Quota exceeded, limit: 0, model: big", {}, (_SOON,)
        ),
        "prepaid": ModelFault(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", {}),
        "billing": ModelFault(403, "PERMISSION_DENIED", "Billing is disabled.", {}, ({"reason": "BILLING_DISABLED"},)),
    },
}
# Similar refusals for which waiting helps.
RATES: Mapping[Speaker, ModelFault] = {
    OpenAi: ModelFault(429, "rate_limit_exceeded", "Rate limit reached on tokens per min. Please try again in 3s.", {}),
    Anthropic: ModelFault(
        429, "rate_limit_error", "This would exceed your organization's rate limit.", {"retry-after": "3"}
    ),
    Google: ModelFault(
        429, "RESOURCE_EXHAUSTED", _QUOTA, {}, ({"violations": [_PER_MINUTE]}, {**_SOON, "retryDelay": "3s"})
    ),
}


def fault_for(speaker: Speaker, name: str, asked: ModelRequest, variant: str = "") -> ModelFault:
    """The error that a directive names: a status, `quota`, `rate` or `context`."""
    if name == "quota":
        return QUOTAS[speaker][variant]
    if name == "rate":
        return RATES[speaker]
    if name == "context":
        return _too_long(speaker, asked, variant)
    status = int(name)
    kind = speaker.kinds.get(status) or (speaker.kinds[500] if status >= 500 else speaker.kinds[400])
    headers = {"retry-after": "3"} if status in (429, 503, 529) and speaker is not Google else {}
    retry = ({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},) if status == 429 else ()
    return ModelFault(status, kind, f"Simulated {status}.", headers, retry)


def _too_long(speaker: Speaker, asked: ModelRequest, variant: str) -> ModelFault:
    """A prompt longer than the model accepts, or (`minute`) than the account may send in a minute."""
    if variant == "minute":
        message = "Request too large for gpt-x on tokens per min (TPM): Limit 8, Requested 9."
        return ModelFault(429, "rate_limit_exceeded", message, {"retry-after": "60"})
    over = {
        OpenAi: "This model's maximum context length is 8 tokens.",
        Anthropic: f"prompt is too long: {tokens(asked.prompt)} tokens > 8 maximum",
        Google: f"The input token count ({tokens(asked.prompt)}) exceeds the maximum number of tokens allowed (8).",
    }
    return ModelFault(400, speaker.kinds["context"], over[speaker], {})
