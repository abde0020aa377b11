"""`subworkflow`: runs another workflow of the owner as a child run, and returns its output."""

from uuid import UUID

from models.rules.graph.effects import RunWorkflow
from models.rules.graph.kinds import Config, Field, NodeCall, NodeKind


def begin(call: NodeCall) -> RunWorkflow:
    """The workflow and its input, which is `input` or the incoming data."""
    return RunWorkflow(UUID(call.config["workflowId"]), call.config.get("input", call.incoming))


def workflow_of(config: Config) -> UUID | None:
    """The id of the workflow in a config; None if it has none."""
    try:
        return UUID(str(config.get("workflowId")))
    except ValueError:
        return None


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    if config.get("workflowId") in (None, "") or workflow_of(config):
        return ()
    # No expression is allowed, because permission and worst case must be known before the run.
    return (("error", "workflowId", "`workflowId` must be the id of one of your workflows, without expressions."),)


KIND = NodeKind(
    type="subworkflow",
    title="Subworkflow",
    help="Runs another of your workflows and waits for its result.",
    result="The output of that workflow.",
    fields=(
        Field(
            "workflowId",
            "text",
            required=True,
            title="Workflow",
            help="One of your workflows, without expressions. Its newest version runs.",
            format="workflow",
        ),
        Field("input", "value", title="Input", help="Without one, the data that comes in."),
    ),
    begin=begin,
    findings=_findings,
    repeats=True,
)
