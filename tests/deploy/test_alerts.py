"""Every alert fires when it should and not otherwise, and has a section in the runbooks. Needs Prometheus' promtool."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import yaml

from api.ops import metrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
MINUTES = 90


class Case(NamedTuple):
    """Series (in promtool's notation, one value a minute) that fire an alert and ones that do not; its labels."""

    fires: dict[str, str]
    quiet: dict[str, str]
    labels: Mapping[str, str] = MappingProxyType({})


def steady(value: float) -> str:
    return f"{value}+0x{MINUTES}"


def growing(by: float) -> str:
    return f"0+{by}x{MINUTES}"


LOW, PAUSED = '{queue="executions.low"}', 'agentforge_queue_paused{queue="executions.low"}'
UP = 'agentforge_queue_workers{queue="executions.low",status="up"}'
OF_LOW = {"queue": "executions.low"}
SERVED, FAILED = 'agentforge_requests_total{status="200"}', 'agentforge_requests_total{status="500"}'
BUCKET = 'agentforge_request_seconds_bucket{le="%s"}'
FAST = {BUCKET % limit: growing(60) for limit in ("0.5", "1", "5", "+Inf")}
SLOW = {BUCKET % limit: growing(number) for limit, number in {"1": 50, "5": 60, "+Inf": 60}.items()}
QUEUED, UNDER_WAY = (
    f'agentforge_provider_calls{{provider="openai",state="{name}"}}' for name in ("queued", "under_way")
)
PUSHES = 'agentforge_push_failures_total{error="%s"}'
REFUSED, GONE = PUSHES % "InvalidCredentials", PUSHES % "DeviceNotRegistered"
OLDEST, EVENTS = f"agentforge_queue_oldest_seconds{LOW}", "agentforge_stripe_events_oldest_seconds"
AGE = 'agentforge_reconciliation_age_seconds{kind="purchases"}'
TAKEN_OVER = 'agentforge_lease_recoveries_total{instance="%s"}'
CALLS = 'agentforge_node_attempts_total{provider="openai",outcome="%s"}'

CASES = {
    "MetricsMissing": Case({"up": steady(0)}, {"agentforge_database_up": steady(1)}),
    "DatabaseDown": Case({"agentforge_database_up": steady(0)}, {"agentforge_database_up": steady(1)}),
    "ErrorRate": Case({SERVED: growing(60), FAILED: growing(3)}, {SERVED: growing(60), FAILED: growing(1)}),
    "SlowRequests": Case(SLOW, FAST),
    "BeatDown": Case({"agentforge_beat_up": steady(0)}, {"agentforge_beat_up": steady(1)}),
    "QueueWithoutWorkers": Case({UP: steady(0), PAUSED: steady(0)}, {UP: steady(0), PAUSED: steady(1)}, OF_LOW),
    "QueuePaused": Case({PAUSED: steady(1)}, {PAUSED: steady(0)}, OF_LOW),
    "QueueProbeLate": Case(
        {f"agentforge_queue_probe_age_seconds{LOW}": steady(200), PAUSED: steady(0)},
        {f"agentforge_queue_probe_age_seconds{LOW}": steady(200), PAUSED: steady(1)},
        OF_LOW,
    ),
    "QueueWaits": Case({OLDEST: steady(301)}, {OLDEST: steady(300)}, OF_LOW),
    "WorkersUnresponsive": Case(
        {"agentforge_workers_unresponsive": steady(1)}, {"agentforge_workers_unresponsive": steady(0)}
    ),
    "ThreadFailures": Case(
        {'agentforge_thread_failures_total{thread="journal"}': growing(1)},
        {'agentforge_thread_failures_total{thread="journal"}': steady(5)},
        {"thread": "journal"},
    ),
    "ProviderCallsQueued": Case(
        {QUEUED: steady(21), UNDER_WAY: steady(10)}, {QUEUED: steady(20), UNDER_WAY: steady(10)}, {"provider": "openai"}
    ),
    "DeadLetters": Case(
        {"agentforge_dead_letters": steady(0), "agentforge_executions_quarantined": steady(1)},
        {"agentforge_dead_letters": steady(0), "agentforge_executions_quarantined": steady(0)},
    ),
    "BillingAlerts": Case({"agentforge_billing_alerts": steady(1)}, {"agentforge_billing_alerts": steady(0)}),
    "StripeEventsWait": Case({EVENTS: steady(301)}, {EVENTS: steady(10)}),
    "ReconciliationLate": Case({AGE: steady(10_801)}, {AGE: steady(10_000)}, {"kind": "purchases"}),
    "PushRefused": Case({REFUSED: growing(1)}, {GONE: growing(1)}, {"error": "InvalidCredentials"}),
    "RunsTakenOver": Case(
        {TAKEN_OVER % "a": growing(0.2), TAKEN_OVER % "b": growing(0.2)}, {TAKEN_OVER % "a": growing(0.1)}
    ),
    "ProviderFails": Case(
        {CALLS % "success": growing(4), CALLS % "failed": growing(5)},
        {CALLS % "success": growing(5), CALLS % "failed": growing(4), CALLS % "cancelled": growing(9)},
        {"provider": "openai"},
    ),
    "SchedulesLate": Case(
        {"agentforge_schedules_overdue_seconds": steady(301)}, {"agentforge_schedules_overdue_seconds": steady(300)}
    ),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Path of Prometheus' own tester, which CI has."""
    found = shutil.which("promtool")
    if found is None:
        assert "CI" not in os.environ, "CI installs Prometheus"
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


def document(name: str, case: Case) -> dict[str, Any]:
    """A test for promtool: the alert fires with the one series, and does not with the others."""

    def test(series: dict[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "interval": "1m",
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "alert_rule_test": [{"eval_time": f"{MINUTES - 5}m", "alertname": name, "exp_alerts": expected}],
        }

    rule = RULES[name]
    alert = {"exp_labels": {**rule["labels"], **case.labels}, "exp_annotations": rule["annotations"]}
    return {"rule_files": [str(FOLDER / "alerts.yml")], "tests": [test(case.fires, [alert]), test(case.quiet, [])]}


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_alert_fires_when_it_should_and_not_otherwise(name: str, promtool: str, tmp_path: Path) -> None:
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(document(name, CASES[name])))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "config", FOLDER / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_runbook_that_says_what_to_do() -> None:
    sections = re.split(r"^## ", (ROOT / "docs" / "runbooks.md").read_text(), flags=re.MULTILINE)[1:]
    named = {section.partition("\n")[0]: section for section in sections}
    assert list(named) == list(RULES) == list(CASES)
    for name, section in named.items():
        assert all(f"**{word}**" in section for word in ("Means", "Look at", "Do")), name
        assert RULES[name]["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
        assert RULES[name]["labels"]["severity"] in ("page", "ticket")


def test_alerts_are_about_metrics_that_exist() -> None:
    sources = [*Path(metrics.__file__).parent.glob("*.py"), ROOT / "workers" / "metrics.py"]
    code = "".join(path.read_text() for path in sources)
    named = set(re.findall(r"agentforge_\w+", " ".join(rule["expr"] for rule in RULES.values())))
    existing = {re.sub(r"_(total|bucket)$", "", name) for name in named}
    assert [name for name in sorted(existing) if f'"{name}"' not in code] == []
