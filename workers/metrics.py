"""What a worker counts: ends of runs, nodes and their attempts, errors of providers, and leases taken over.

Every number belongs to the process that counted it, and isolated processes add to those of their worker; so numbers of
several processes are summed. None of them is read from the tables, which the API does.
"""

from prometheus_client import Counter, Histogram

from models.rules.graph.effects import AgentTurn, Call, ModelCall
from models.rules.graph.graph import Node
from models.rules.nodes import KINDS
from models.rules.prices.pricing import Provider
from models.services.orchestration.journal import NodeRow
from workers.gateways.base import CallFailed

RUNS = Counter("agentforge_runs_finished", "Runs that a driver ended.", ("end", "tier"))
SCHEDULED = Counter("agentforge_schedules_due", "Times of schedules that were handled, by result.", ("result",))
OVERDUE = Counter("agentforge_runs_overdue", "Runs that the sweep ended, because they began or ended too late.")
NODE_SECONDS = Histogram(
    "agentforge_node_seconds",
    "Time from a node's first attempt to its end, pauses and queues included.",
    ("type", "provider"),
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800),
)
ATTEMPTS = Counter("agentforge_node_attempts", "Calls of nodes that have a result.", ("type", "provider", "outcome"))
PROVIDER_ERRORS = Counter("agentforge_provider_errors", "Failed calls of nodes, by code.", ("provider", "code"))
RECOVERIES = Counter("agentforge_lease_recoveries", "Runs taken over from a driver that vanished.")

NO_PROVIDER = "none"


def node_ended(node: Node, row: NodeRow) -> None:
    """Count the end of a node; one that was skipped took no time."""
    if row.started_at and row.finished_at:
        seconds = max(0.0, (row.finished_at - row.started_at).total_seconds())
        provider = KINDS[node.type].provider(node.config)
        NODE_SECONDS.labels(node.type, provider.value if provider else NO_PROVIDER).observe(seconds)


def attempt_ended(node: Node, call: Call, result: object) -> None:
    """Count a call with its result, which may be a failure."""
    provider = _provider(call)
    outcome = result.outcome if isinstance(result, CallFailed) else "success"
    ATTEMPTS.labels(node.type, provider, outcome).inc()
    if isinstance(result, CallFailed) and outcome != "cancelled":
        PROVIDER_ERRORS.labels(provider, result.code).inc()


def _provider(call: Call) -> str:
    """The provider of a call; that of an `api_call` is none, because its host is the user's."""
    if isinstance(call, ModelCall):
        return call.provider.value
    return Provider.OPENCLAW.value if isinstance(call, AgentTurn) else NO_PROVIDER
