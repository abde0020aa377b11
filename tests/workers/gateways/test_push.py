"""Push messages against a stand-in for Expo: what is sent, and what its answers mean."""

from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from simulators.mail.catcher import running_mail_catcher
from simulators.mail.caught import MailCatcher
from workers.gateways.base import CallFailed
from workers.gateways.push import Push, PushGateway


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


def push(to: str = "ExponentPushToken[ada]", title: str = "Run finished") -> Push:
    return Push(to, title, "Your workflow is done.", {"kind": "run_finished"})


def failure(catcher: MailCatcher, token: str) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        PushGateway(catcher.url).send(push(token))
    return caught.value


def test_a_message_arrives_at_its_device(catcher):
    PushGateway(catcher.url, access_token="secret").send(push())
    assert catcher.pushes == [
        {
            "to": "ExponentPushToken[ada]",
            "title": "Run finished",
            "body": "Your workflow is done.",
            "data": {"kind": "run_finished"},
        }
    ]


def test_a_long_text_is_cut_rather_than_refused(catcher):
    PushGateway(catcher.url).send(Push("ExponentPushToken[ada]", "t" * 5000, "b" * 5000, {}))
    (message,) = catcher.pushes
    assert (len(message["title"]), len(message["body"])) == (200, 1000)


@pytest.mark.parametrize(
    ("token", "code", "retryable"),
    [
        ("ExponentPushToken[gone]", "push_device_gone", False),
        ("ExponentPushToken[later]", "push_unavailable", True),
        ("ExponentPushToken[429]", "push_unavailable", True),
        ("not a token", "push_refused", False),
    ],
)
def test_each_refusal_says_whether_to_try_again(catcher, token, code, retryable):
    failed = failure(catcher, token)
    assert (failed.code, failed.retryable, token in failed.detail) == (code, retryable, False)
    assert failed.retry_after == (1.0 if "429" in token else None)
    assert catcher.pushes == []


def test_a_service_that_is_away_may_be_asked_again():
    with running_mail_catcher() as gone:
        pass
    assert failure(gone, "ExponentPushToken[ada]").retryable


def test_a_wrong_url_is_final(catcher):
    with pytest.raises(CallFailed) as caught:
        PushGateway(catcher.url + "/elsewhere").send(push())
    assert (caught.value.code, caught.value.retryable) == ("push_refused", False)


def test_the_page_shows_what_was_caught_and_runs_nothing_of_it(catcher):
    PushGateway(catcher.url).send(push(title="<script>alert(1)</script>"))
    with urlopen(catcher.url) as answer:
        page = answer.read().decode()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
