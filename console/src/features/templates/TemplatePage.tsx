/** A template before it is used: its graph to look around in, and what a run may cost. */
import { Alert, Button, List, Paper, Stack, TextInput } from "@mantine/core";
import { IconAlertTriangle, IconFlag } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, type ReactNode, useMemo, useState } from "react";

import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import { formErrors } from "@/api/problem";
import { validationQuery } from "@/api/validation";
import { GraphCanvas } from "@/ui/graph/GraphCanvas";
import { readGraph } from "@/ui/graph/graph";
import { PageHeader } from "@/ui/PageHeader";
import { ErrorState, Loaded } from "@/ui/states";
import { Credits } from "@/ui/values";

import { OwnActions } from "./OwnActions";
import { instantiate, ownTemplatesQuery, type Template, templateQuery } from "./queries";
import { ReportDialog } from "./ReportDialog";
import classes from "./Templates.module.css";
import { categoryName, estimateWord, nodesWord, usesWord } from "./words";

const route = getRouteApi("/shell/templates/$templateId");

export function TemplatePage() {
  const { templateId } = route.useParams();
  const template = useQuery(templateQuery(templateId));
  return (
    <>
      <PageHeader title={template.data?.name ?? "Template"} description={template.data?.description} />
      <Loaded query={template}>{(data) => <Preview key={data.id} template={data} />}</Loaded>
    </>
  );
}

function Preview({ template }: { template: Template }) {
  const graph = useMemo(() => readGraph(template), [template]);
  return (
    <div className={classes.page}>
      <div className={classes.canvas}>
        <GraphCanvas graph={graph} label={`Graph of ${template.name}`} />
      </div>
      <aside aria-label="About this template">
        <Stack>
          <UseForm template={template} />
          <Facts template={template} />
          <Owner template={template} />
        </Stack>
      </aside>
    </div>
  );
}

function UseForm({ template }: { template: Template }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState(template.name);
  const keyOf = useIdempotencyKey();
  const use = useMutation({
    mutationFn: () => instantiate(template.id, name, keyOf(name)),
    onSuccess: async (workflow) => {
      void client.invalidateQueries({ queryKey: keys.workflows.all });
      await navigate({ to: "/workflows/$workflowId", params: { workflowId: workflow.id } });
    },
  });
  const { fields, general } = use.isError ? formErrors(use.error, ["name"]) : { fields: {}, general: null };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    use.mutate();
  };
  return (
    <Paper p="md" component="form" onSubmit={submit}>
      <Stack gap="sm">
        <TextInput
          label="Name of your workflow"
          value={name}
          maxLength={200}
          error={(fields as { name?: string }).name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        {general ? <ErrorState error={use.error} /> : null}
        <Button type="submit" size="md" loading={use.isPending}>
          Use this template
        </Button>
      </Stack>
    </Paper>
  );
}

function Facts({ template }: { template: Template }) {
  const check = useQuery(validationQuery(template));
  const worst = check.data?.worstCaseCredits;
  return (
    <Paper p="md">
      <dl className={classes.details}>
        <Fact name="Category">{categoryName(template.category)}</Fact>
        <Fact name="Author">{template.author ?? "AgentForge"}</Fact>
        <Fact name="Size">{nodesWord(template.nodes.length)}</Fact>
        <Fact name="Time">{estimateWord(template.estimatedTime) ?? "–"}</Fact>
        <Fact name="A run costs at most">
          {worst === undefined || worst === null ? "–" : <Credits value={worst} unit />}
        </Fact>
        <Fact name="Use">{usesWord(template.uses)}</Fact>
      </dl>
      {template.problems.length > 0 ? (
        <Alert
          mt="md"
          color="yellow"
          icon={<IconAlertTriangle aria-hidden />}
          title="To fill in before it runs"
        >
          <List size="sm">
            {template.problems.map((problem) => (
              <List.Item key={`${problem.field} ${problem.message}`}>{problem.message}</List.Item>
            ))}
          </List>
        </Alert>
      ) : null}
    </Paper>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What owners may do with their template, and others against it. */
function Owner({ template }: { template: Template }) {
  const own = useQuery(ownTemplatesQuery);
  const [reports, setReports] = useState(false);
  if (!own.data) return null;
  if (own.data.has(template.id)) return <OwnActions template={template} />;
  if (template.author === null) return null;
  return (
    <>
      <Button
        variant="subtle"
        color="gray"
        leftSection={<IconFlag size={18} aria-hidden />}
        onClick={() => setReports(true)}
      >
        Report this template
      </Button>
      {reports ? <ReportDialog template={template} onClose={() => setReports(false)} /> : null}
    </>
  );
}
