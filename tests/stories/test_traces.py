"""A run is one connected trace, from the request through the message to the call of a model, across processes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from devstack import control
from devstack.app_client import AppClient
from models.rules.prices.pricing import Provider
from tests.support.engine import every_node
from tests.support.servers.otlp import Collector, ReceivedSpan, collector
from tests.support.stack.processes import eventually
from tests.support.stack.running import log_of, running_stack
from tests.test_story import finished, new_app

pytestmark = pytest.mark.faults
SECRET = "what nobody may read in a trace"  # no secret
EXECUTE = "POST /workflows/<uuid:workflow_id>/execute"
CHAIN = ["chat gpt-4o-mini", "node ai_agent", "claim and drive"]
MESSAGE = ["executions.drive process", "executions.drive publish", EXECUTE]


@pytest.fixture(scope="module")
def traces() -> Iterator[Collector]:
    with collector() as received:
        yield received


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, traces: Collector) -> Iterator[control.RunningStack]:
    """The whole stack, which sends its spans to the collector."""
    with running_stack(tmp_path_factory.mktemp("stack"), OTEL_EXPORTER_OTLP_ENDPOINT=traces.url) as stack:
        yield stack


def run_with_an_agent(app: AppClient) -> str:
    """The id of a finished run of a model between two other nodes."""
    every_node.prepare(app, Provider.OPENAI)
    config = {"provider": "openai", "model": "gpt-4o-mini", "prompt": f"Say: {SECRET}"}
    nodes = [
        {"id": "ask", "type": "ai_agent", "label": "Ask", "config": config},
        {"id": "after", "type": "process", "label": "After", "config": {"expression": "1"}},
    ]
    workflow = app.save("Traced", {"nodes": nodes, "connections": [{"from": "ask", "to": "after"}]})
    execution_id = app.execute(workflow["id"], {"text": SECRET})
    assert finished(app, execution_id)["status"] == "success"
    return execution_id


def above(span: ReceivedSpan, spans: list[ReceivedSpan]) -> list[str]:
    """The names of the spans from this one up to the first of its trace."""
    by_id = {one.id: one for one in spans}
    names = [span.name]
    while span.parent:
        span = by_id[span.parent]
        names.append(span.name)
    return names


def test_a_run_is_one_connected_trace_across_processes(stack: control.RunningStack, traces: Collector):
    execution_id = run_with_an_agent(new_app(stack))

    def of_run() -> list[ReceivedSpan]:
        trace = {s.trace for s in traces.spans() if s.attributes.get("agentforge.execution_id") == execution_id}
        return [span for span in traces.spans() if span.trace in trace]

    eventually(lambda: {"claim and drive", EXECUTE, *CHAIN, *MESSAGE} <= {span.name for span in of_run()})
    spans = of_run()
    assert len({span.trace for span in spans}) == 1
    assert {span.service for span in spans} == {"agentforge-api", "agentforge-worker-executions"}
    (chat,) = [span for span in spans if span.name == "chat gpt-4o-mini"]
    assert above(chat, spans) == [*CHAIN, *MESSAGE]
    assert chat.attributes["gen_ai.system"] == "openai"
    assert chat.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert chat.attributes["gen_ai.usage.input_tokens"] > 0
    assert chat.attributes["gen_ai.usage.output_tokens"] > 0
    assert {span.name for span in spans if span.name.startswith("node ")} == {"node ai_agent", "node process"}
    assert {tuple(above(span, spans)[1:]) for span in spans if span.name == "node process"} == {
        ("claim and drive", *MESSAGE)
    }


def test_a_trace_has_no_contents_and_no_secrets(stack: control.RunningStack, traces: Collector):
    run_with_an_agent(new_app(stack))
    sent = b"".join(traces.bodies)
    hidden = [SECRET, every_node.KEYS[Provider.OPENAI], "example.com", "a long password"]
    assert [text for text in hidden if text.encode() in sent] == []
    assert "opentelemetry" not in log_of(stack).lower()


def test_without_an_endpoint_neither_exporter_nor_spans_are_imported():
    """The client of Redis imports OpenTelemetry's interface by itself, if it is installed."""
    code = "import sys, celery_config, asgi, tasks.executions; from telemetry import tracing"
    code += "; print(*sys.modules, tracing.is_on())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    *modules, is_on = done.stdout.split()
    assert is_on == "False", done.stderr
    mine = (
        "telemetry.otlp",
        "tasks.observability.task_spans",
        "opentelemetry.exporter",
        "opentelemetry.sdk.trace.export",
    )
    assert [name for name in mine if name in modules] == []
