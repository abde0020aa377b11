/** The name of a workflow, with what keeps it from running. */
import { TextLink } from "@/ui/ButtonLink";
import { StatusBadge } from "@/ui/StatusBadge";

import type { Workflow } from "./queries";
import classes from "./Workflows.module.css";

export function WorkflowName({ workflow }: { workflow: Workflow }) {
  const { id, name, description, problems, readOnly, readOnlyReason, status } = workflow;
  const [problem] = problems;
  const note = readOnly ? readOnlyReason : (problem?.message ?? description);
  return (
    <div className={classes.name}>
      <TextLink to="/workflows/$workflowId" params={{ workflowId: id }} fw={600}>
        {name}
      </TextLink>
      {status === "draft" ? <StatusBadge status="draft" /> : null}
      {note ? <span className={classes.note}>{note}</span> : null}
    </div>
  );
}
