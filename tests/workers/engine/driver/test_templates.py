"""Each of the seeded templates, copied and run to its end as a user would."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from models.db import session_scope
from models.errors import InsufficientCredits
from models.rules.graph.effects import AgentTurn, HttpCall, HttpResponse, TextResult
from models.services.credits import ledger
from models.services.executions import executions
from models.services.workflows import templates
from models.tables import Execution
from tests.support import factories
from tests.support.engine.runtimes import shut_down
from workers.engine.attempts.effect_executor import AttemptContext, OnEnd
from workers.engine.process.runtime import EngineConfig, Runtime

HOOK = "https://hooks.example.com/in"


class Outside:
    """An agent with one answer, and a service that takes whatever is posted to it."""

    def __init__(self) -> None:
        self.says = "Fine."
        self.asked: list[AgentTurn] = []
        self.posted: list[tuple[str, Any]] = []

    def perform(self, effect: AgentTurn, attempt: AttemptContext) -> TextResult:
        """Perform a turn as the real executor does, without a network."""
        attempt.record_intent(None)
        self.asked.append(effect)
        return TextResult(self.says)

    def send(self, call: HttpCall, attempt: AttemptContext, on_end: OnEnd) -> None:
        """Perform a call likewise."""
        self.posted.append((call.url, orjson.loads(call.body or b"null")))
        on_end(HttpResponse(202, {}, {"accepted": True}))


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def runtime(committed_database: str, outside: Outside) -> Iterator[Runtime]:
    runtime = Runtime(
        outside, owner="worker", config=EngineConfig(lease_seconds=30, heartbeat_seconds=1, effect_threads=4)
    )
    yield runtime
    shut_down(runtime)


def run(runtime: Runtime, slug: str, value: Any) -> Execution:
    """The template copied by a new free user with ten credits, and its run."""
    with session_scope() as session:
        user = factories.user(session, credits=10)
        (template,) = (row for row in templates.list_visible(session, user) if row.slug == slug)
        workflow = templates.instantiate(session, user, template.id)
        execution = executions.submit(session, user, workflow.id, input=value)
    runtime.drive(execution.id)
    with session_scope() as session:
        assert ledger.violations(session) == []
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


def test_none_starts_for_a_user_who_cannot_pay(runtime: Runtime) -> None:
    with session_scope() as session:
        user = factories.user(session, credits=1)
        template = templates.list_visible(session, user)[0]
        workflow = templates.instantiate(session, user, template.id)
        with pytest.raises(InsufficientCredits):
            executions.submit(session, user, workflow.id)
        session.rollback()
