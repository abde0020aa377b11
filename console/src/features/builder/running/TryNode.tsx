/** Tries one node with data that stand in place of the nodes before it. */
import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { IconFlask, IconRestore } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body } from "@/api/client";
import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import type { FullRun } from "@/api/runs";
import type { GraphNode } from "@/ui/graph/graph";
import { ErrorState } from "@/ui/states";
import { Credits } from "@/ui/values";

import { ExpressionField } from "../config/ExpressionField";
import { apiGraph } from "../model/api-graph";
import { fieldsToPin, type Trial, trialOf } from "../model/pins";
import { useEditor } from "../state/context";
import { TrialResult } from "./TrialResult";
import { usePins } from "./usePins";

interface TryNodeProps {
  node: GraphNode;
  /** The run whose data are taken at first. */
  run: FullRun | undefined;
  /** The node's own price, without the fee of a run. */
  credits: number;
  /** Why the node cannot run, if it cannot. */
  problem: string | undefined;
}

const NO_SCOPE = {};

export function TryNode(props: TryNodeProps) {
  const { catalog } = useEditor();
  if (catalog.types.get(props.node.type)?.isContainer)
    return (
      <Text c="dimmed" size="sm">
        A loop cannot be tried alone, because it is what its nodes do. Try the nodes inside it, each with an
        item, or run the workflow.
      </Text>
    );
  return <Form key={props.node.id} {...props} />;
}

function Form({ node, run, credits, problem }: TryNodeProps) {
  const { workflowId, graph, catalog, isReadOnly } = useEditor();
  const fields = fieldsToPin(graph, node.id);
  const pins = usePins(workflowId, graph, node.id, fields, run);
  const [errors, setErrors] = useState<Record<string, string>>({});
  const client = useQueryClient();
  const keyOf = useIdempotencyKey();
  const [trials, setTrials] = useState(0);

  const start = useMutation({
    mutationFn: (trial: Trial) => {
      const content = { ...trial, index: null, maxCredits: null, ...apiGraph(graph) };
      const params = {
        path: { workflowId, nodeId: node.id },
        header: { "Idempotency-Key": keyOf([content, trials]) },
      };
      return body(api.POST("/workflows/{workflowId}/nodes/{nodeId}/try", { params, body: content }));
    },
    onSuccess: () => {
      setTrials((count) => count + 1); // the same data again are another trial
      void client.invalidateQueries({ queryKey: keys.runs.lists });
      void client.invalidateQueries({ queryKey: keys.credits.all });
    },
  });

  function attempt() {
    const found = trialOf(fields, pins.texts);
    setErrors("errors" in found ? found.errors : {});
    if ("trial" in found) start.mutate(found.trial);
  }

  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">
        Only this node runs, with these data in place of the nodes before it. It is a real run: calls are
        made, and it costs <Credits value={catalog.document.creditsPerRun + credits} unit /> at most
        {node.type === "subworkflow" ? ", and what the other workflow costs" : ""}.
      </Text>
      {fields.map(({ name, label }) => (
        <ExpressionField
          key={name}
          title={label}
          mode="json"
          value={pins.texts[name] ?? ""}
          hint='JSON, such as {"name": "Ada"}'
          scope={NO_SCOPE}
          error={
            errors[name] ??
            (pins.cut.has(name) ? "This is longer than what is shown: it was cut." : undefined)
          }
          onChange={(text) => pins.edit(name, text)}
        />
      ))}
      {pins.isEdited && run ? (
        <Button
          variant="subtle"
          size="compact-sm"
          leftSection={<IconRestore size={15} aria-hidden />}
          style={{ alignSelf: "start" }}
          onClick={pins.reset}
        >
          Take the last run’s data
        </Button>
      ) : null}
      {problem === undefined ? null : (
        <Alert color="red" title="This node cannot run yet" p="sm">
          {problem}
        </Alert>
      )}
      {start.error ? <ErrorState error={start.error} /> : null}
      <Group>
        <Button
          leftSection={<IconFlask size={17} aria-hidden />}
          loading={start.isPending || pins.isLoading}
          disabled={isReadOnly || problem !== undefined}
          onClick={attempt}
        >
          Try this node
        </Button>
      </Group>
      {start.data ? <TrialResult key={start.data.id} runId={start.data.id} nodeId={node.id} /> : null}
    </Stack>
  );
}
