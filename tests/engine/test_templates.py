"""Each of the seeded templates, copied and run to its end as a user would."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from models.db import session_scope
from models.errors import InsufficientCredits
from models.execution import Execution
from models.rules.effects import AgentTurn, Effect, HttpAnswer, HttpCall, TextAnswer
from models.services import credits, executions, templates
from tests import factories
from workers.engine.performer import Attempt
from workers.engine.runtime import Pace, Runtime

HOOK = "https://hooks.example.com/in"


class Outside:
    """An agent with one answer, and a service that takes whatever is posted to it."""

    def __init__(self) -> None:
        self.says = "Fine."
        self.asked: list[AgentTurn] = []
        self.posted: list[tuple[str, Any]] = []

    def perform(self, effect: Effect, attempt: Attempt) -> TextAnswer | HttpAnswer:
        """What the real performer does, without a network."""
        attempt.announce(None)
        if isinstance(effect, AgentTurn):
            self.asked.append(effect)
            return TextAnswer(self.says)
        assert isinstance(effect, HttpCall)
        self.posted.append((effect.url, orjson.loads(effect.body or b"null")))
        return HttpAnswer(202, {}, {"accepted": True})


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def runtime(committed_database: str, outside: Outside) -> Iterator[Runtime]:
    runtime = Runtime(outside, owner="worker", pace=Pace(lease=30, heartbeat=1, threads=4))
    yield runtime
    runtime.leave(5)


def run(runtime: Runtime, slug: str, value: Any) -> Execution:
    """The template copied by a new free user with ten credits, and its run."""
    with session_scope() as session:
        user = factories.user(session, credits=10)
        (template,) = (row for row in templates.list_visible(session, user) if row.slug == slug)
        workflow = templates.instantiate(session, user, template.id)
        execution = executions.submit(session, user, workflow.id, input=value)
    runtime.drive(execution.id)
    with session_scope() as session:
        assert credits.violations(session) == []
        return executions.get(session, user, execution.id)


def test_data_pipeline_keeps_the_complete_records(runtime: Runtime) -> None:
    records = [{"name": "a", "value": 1}, {"name": "", "value": 2}, {"name": "c"}, {"name": "d", "value": None}]
    done = run(runtime, "data-processing-pipeline", records)
    assert (done.status, done.output) == ("success", {"count": 1, "records": [{"name": "a", "value": 1}]})


def test_email_automation_hands_a_reply_to_the_mail_service(runtime: Runtime, outside: Outside) -> None:
    email = {"from": "ada@example.com", "subject": "Engine", "body": "Does it run?", "webhookUrl": HOOK}
    outside.says = "It does."
    assert run(runtime, "email-automation", email).status == "success"
    assert outside.asked[0].prompt.endswith("about Engine:\n\nDoes it run?")
    assert outside.posted == [(HOOK, {"to": "ada@example.com", "subject": "Re: Engine", "text": "It does."})]


@pytest.mark.parametrize(
    ("sentiment", "verdict"), [("negative", "needs attention"), ("positive", "all is well"), ("neutral", "all is well")]
)
@pytest.mark.parametrize("value", ["The text.", {"text": "The text."}])
def test_content_analysis_flags_complaints(
    runtime: Runtime, outside: Outside, sentiment: str, verdict: str, value: Any
) -> None:
    outside.says = json.dumps({"sentiment": sentiment, "summary": "Short.", "topics": ["one", "two"]})
    done = run(runtime, "content-analysis", value)
    assert outside.asked[0].prompt.endswith("\n\nText:\nThe text.")
    assert done.output == {"verdict": verdict, "sentiment": sentiment, "summary": "Short.", "topics": ["one", "two"]}


def test_content_analysis_does_without_summary_and_topics(runtime: Runtime, outside: Outside) -> None:
    outside.says = 'Here it is:\n```json\n{"sentiment": "neutral"}\n```'
    done = run(runtime, "content-analysis", "The text.")
    assert done.output == {"verdict": "all is well", "sentiment": "neutral", "summary": "", "topics": []}


def test_content_analysis_says_so_when_the_agent_does_not_answer_json(runtime: Runtime, outside: Outside) -> None:
    outside.says = "I would rather not."
    done = run(runtime, "content-analysis", "The text.")
    assert done.status == "failed"
    assert "sentiment" in done.error["message"]


def test_social_media_bot_publishes_a_post(runtime: Runtime, outside: Outside) -> None:
    outside.says = "Bees are back."
    assert run(runtime, "social-media-bot", {"topic": "bees", "webhookUrl": HOOK}).status == "success"
    assert (outside.asked[0].prompt, outside.posted) == (
        "Write a post about bees.",
        [(HOOK, {"text": "Bees are back."})],
    )


def test_none_starts_for_somebody_who_cannot_pay(runtime: Runtime) -> None:
    with session_scope() as session:
        user = factories.user(session, credits=1)
        template = templates.list_visible(session, user)[0]
        workflow = templates.instantiate(session, user, template.id)
        with pytest.raises(InsufficientCredits):
            executions.submit(session, user, workflow.id)
        session.rollback()
