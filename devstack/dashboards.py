"""Grafana's dashboards, made in code: `python -m devstack.dashboards write` writes deploy/grafana/, `check` compares.

Values from the tables are the same at every instance of the API, so they are taken as a maximum; counts and durations
of requests, and all that workers count, are each process's own, so their rates are summed.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).parent.parent / "deploy" / "grafana"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
WIDTH, HEIGHT = 12, 8  # of a panel; a row has 24 columns
FAILURES = "increase(agentforge_thread_failures_total[1h])"
SERVED, SECONDS = "rate(agentforge_requests_total[5m])", "rate(agentforge_request_seconds_bucket[5m])"
FAILED = 'rate(agentforge_requests_total{status=~"5.."}[5m])'


CALLS = 'rate(agentforge_node_attempts_total{outcome!="cancelled"}[5m])'
FAILED_CALLS = 'rate(agentforge_node_attempts_total{outcome!~"success|cancelled"}[5m])'


class Chart(NamedTuple):
    """A panel: its title, unit, and queries by legend."""

    title: str
    unit: str
    queries: Mapping[str, str]


def _quantile(quantile: float, by: str = "", seconds: str = SECONDS) -> str:
    return f"histogram_quantile({quantile}, sum by (le{by}) ({seconds}))"


def _rate(metric: str, *labels: str) -> dict[str, str]:
    """The rate of a counter of workers; a zero while none of them has counted anything."""
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    return {legend: f"sum by ({', '.join(labels)}) (rate({metric}[5m])) or vector(0)"}


def _of_process(metric: str, legend: str = "") -> dict[str, str]:
    return {f"{{{{instance}}}}{legend}": metric}


def _each(metric: str, label: str) -> dict[str, str]:
    return {f"{{{{{label}}}}}": f"max by ({label}) ({metric})"}


def _one(metric: str, legend: str) -> dict[str, str]:
    return {legend: f"max({metric})"}


def _total(name: str) -> str:
    return f'max(agentforge_business_30_days{{total="{name}"}})'


DASHBOARDS: Mapping[str, tuple[Chart, ...]] = {
    "service": (
        Chart("Requests by status", "reqps", {"{{status}}": f"sum by (status) ({SERVED})"}),
        Chart("Requests by route", "reqps", {"{{method}} {{route}}": f"topk(10, sum by (method, route) ({SERVED}))"}),
        Chart("Share of 5xx", "percentunit", {"5xx": f"(sum({FAILED}) or vector(0)) / sum({SERVED})"}),
        Chart("Response time", "s", {"p50": _quantile(0.5), "p95": _quantile(0.95), "p99": _quantile(0.99)}),
        Chart("Slowest routes (p95)", "s", {"{{route}}": f"topk(10, {_quantile(0.95, ', route')})"}),
        Chart("Database", "bool_on_off", {"{{instance}}": "min by (instance) (agentforge_database_up)"}),
        Chart("Failures of threads in an hour", "short", _each(FAILURES, "thread")),
    ),
    "queues": (
        Chart("Waiting rows", "short", _each("agentforge_queue_rows", "queue")),
        Chart("Deferred behind their owner's other runs", "short", _each("agentforge_queue_deferred", "queue")),
        Chart("Messages in the broker", "short", _each("agentforge_queue_messages", "queue")),
        Chart("Age of the oldest row", "s", _each("agentforge_queue_oldest_seconds", "queue")),
        Chart("Workers", "short", {"{{queue}} {{status}}": "max by (queue, status) (agentforge_queue_workers)"}),
        Chart("Age of the last probe", "s", _each("agentforge_queue_probe_age_seconds", "queue")),
        Chart("Paused", "bool_yes_no", _each("agentforge_queue_paused", "queue")),
        Chart("Unresponsive workers", "short", _one("agentforge_workers_unresponsive", "workers")),
        Chart("Beat", "bool_on_off", _one("agentforge_beat_up", "beat")),
    ),
    "runs": (
        Chart("Runs that started and have not ended", "short", _each("agentforge_executions", "status")),
        Chart("Quarantined", "short", _one("agentforge_executions_quarantined", "runs")),
        Chart(
            "Provider calls",
            "short",
            {
                "{{provider}} {{state}}": "max by (provider, state) (agentforge_provider_calls) or vector(0)",
            },
        ),
        Chart(
            "Runs of 30 days",
            "short",
            {"all": _total("runs"), "successful": _total("successful"), "failed": _total("failed")},
        ),
        Chart("Times of schedules", "ops", _rate("agentforge_schedules_due_total", "result")),
        Chart("Age of the oldest time of a schedule", "s", _one("agentforge_schedules_overdue_seconds", "age")),
        Chart("Ended runs", "ops", _rate("agentforge_runs_finished_total", "end", "tier")),
        Chart("Runs that began or ended too late", "ops", {"runs": "sum(rate(agentforge_runs_overdue_total[5m]))"}),
        Chart(
            "Time of nodes (p95)",
            "s",
            {"{{type}} {{provider}}": _quantile(0.95, ", type, provider", "rate(agentforge_node_seconds_bucket[5m])")},
        ),
        Chart("Calls of nodes", "ops", _rate("agentforge_node_attempts_total", "provider", "outcome")),
        Chart("Errors of providers", "ops", _rate("agentforge_provider_errors_total", "provider", "code")),
        Chart(
            "Share of failed calls",
            "percentunit",
            {
                "{{provider}}": f"sum by (provider) ({FAILED_CALLS}) / sum by (provider) ({CALLS}) or vector(0)",
            },
        ),
        Chart("Runs taken over in an hour", "short", {"runs": "sum(increase(agentforge_lease_recoveries_total[1h]))"}),
    ),
    "workers": (
        Chart("Memory", "bytes", _of_process('process_resident_memory_bytes{job="workers"}')),
        Chart("Processor", "percentunit", _of_process('rate(process_cpu_seconds_total{job="workers"}[5m])')),
        Chart("Connections to the database", "short", _of_process("agentforge_database_connections", " {{state}}")),
        Chart("Tasks", "ops", _rate("agentforge_task_seconds_count", "task", "state")),
        Chart(
            "Time of tasks (p95)",
            "s",
            {"{{task}}": _quantile(0.95, ", task", "rate(agentforge_task_seconds_bucket[5m])")},
        ),
        Chart("Messages of beat", "ops", _rate("agentforge_beat_messages_total", "task")),
        Chart(
            "Failures of threads in an hour",
            "short",
            {
                "{{instance}} {{thread}}": "sum by (instance, thread)"
                " (increase(agentforge_process_thread_failures_total[1h]))"
            },
        ),
    ),
    "money": (
        Chart("Stripe events waiting", "short", _one("agentforge_stripe_events_waiting", "events")),
        Chart("Age of the oldest event", "s", _one("agentforge_stripe_events_oldest_seconds", "event")),
        Chart("Dead letters", "short", _one("agentforge_dead_letters", "events")),
        Chart("Open alerts", "short", _one("agentforge_billing_alerts", "alerts")),
        Chart("Age of the last comparison with Stripe", "s", _each("agentforge_reconciliation_age_seconds", "kind")),
        Chart(
            "Findings of comparisons",
            "short",
            {"{{check}} {{action}}": "max by (check, action) (agentforge_reconciliation_findings) or vector(0)"},
        ),
        Chart(
            "Cents of 30 days",
            "short",
            {
                "packs": _total("pack_cents"),
                "subscriptions": _total("subscription_cents"),
                "returned": _total("returned_cents"),
            },
        ),
        Chart("Credits of 30 days", "short", {"sold": _total("credits_sold"), "used": _total("credits_used")}),
    ),
    "business": (
        Chart("Users", "short", _each("agentforge_users", "state")),
        Chart("Sign-ups of 30 days", "short", {"sign-ups": _total("sign_ups")}),
        Chart("Subscribers", "short", {"{{tier}}": "max by (tier) (agentforge_subscribers) or vector(0)"}),
        Chart(
            "Recurring revenue in cents",
            "short",
            {**_one("agentforge_mrr_cents", "monthly"), **_one("agentforge_arr_cents", "annual")},
        ),
        Chart(
            "Churn and conversion",
            "percent",
            {"{{rate}}": "max by (rate) (agentforge_business_rate_percent) or vector(0)"},
        ),
    ),
}


def made(name: str) -> str:
    """The JSON of a dashboard, as Grafana imports it."""
    board = dashboard.Dashboard(f"AgentForge: {name}").uid(f"agentforge-{name}").tags(["agentforge"]).readonly()
    board = board.refresh("1m").time("now-6h", "now")
    for panel_id, chart in enumerate(DASHBOARDS[name], 1):
        panel = (
            timeseries.Panel()
            .id(panel_id)
            .title(chart.title)
            .unit(chart.unit)
            .span(WIDTH)
            .height(HEIGHT)
            .datasource(SOURCE)
        )
        for number, (legend, query) in enumerate(chart.queries.items()):
            target = prometheus.Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number))
            panel = panel.with_target(target)
        board = board.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=1).encode(board.build()) + "\n"


def main(action: str) -> int:
    """Write the files, or return 1 if one is not current."""
    stale = [name for name in DASHBOARDS if not _is_current(name)]
    if action == "check":
        sys.stdout.write("".join(f"deploy/grafana/{name}.json is not current.\n" for name in stale))
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(made(name))
    return 0


def _is_current(name: str) -> bool:
    file = FOLDER / f"{name}.json"
    return file.exists() and file.read_text() == made(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
