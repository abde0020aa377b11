/** The settings of a node, from the schema of its type; and what a run made of it. */
import { Accordion, ActionIcon, Alert, List, Stack, Tabs, Text, TextInput } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import type { ReactNode } from "react";

import type { GraphNode } from "@/ui/graph/graph";
import { labelOf } from "@/ui/graph/graph";
import graphClasses from "@/ui/graph/graph.module.css";
import { typeLook } from "@/ui/graph/types";
import { Credits } from "@/ui/values";

import type { FullRun } from "@/api/runs";
import type { Commands } from "../canvas/useCommands";
import { setConfig, updateNode } from "../model/edits";
import { fieldsOf, hiddenValues } from "../model/schema-form";
import type { Scope } from "../model/scope";
import { TryNode } from "../running/TryNode";
import { useEditor } from "../state/context";
import type { Finding, Validation } from "../state/useValidation";
import classes from "./config.module.css";
import { Connections } from "./Connections";
import { FormField } from "./fields";
import { OptionsForm } from "./OptionsForm";

interface NodePanelProps {
  node: GraphNode;
  ports: readonly string[];
  commands: Commands;
  validation: Validation;
  scope: Scope;
  /** What a run made of the node, if there was one. */
  result: ReactNode;
  /** The run whose data a trial takes at first. */
  run: FullRun | undefined;
  tab: string;
  onTab: (tab: string) => void;
  onClose: () => void;
}

/** The name of the config's field that a finding is about: `nodes.3.config.url` is "url". */
function fieldOf({ field }: Finding): string | null {
  return /\.config\.([^.[]+)/.exec(field)?.[1] ?? null;
}

export function NodePanel(props: NodePanelProps) {
  const { node, ports, commands, validation, scope, result, run, tab, onTab, onClose } = props;
  const { catalog, editGraph, isReadOnly } = useEditor();
  const type = catalog.types.get(node.type);
  const { icon: Icon, family } = typeLook(node.type);
  const config = node.config ?? {};
  const fields = type ? fieldsOf(type.config, config) : [];
  const names = new Set(fields.map(({ name }) => name));
  const mine = (findings: readonly Finding[]) => findings.filter(({ nodeId }) => nodeId === node.id);
  const errors = mine(validation.errors);
  const general = errors.filter((finding) => !names.has(fieldOf(finding) ?? ""));
  const errorAt = (name: string) => errors.find((finding) => fieldOf(finding) === name)?.message;
  const hidden = type ? hiddenValues(type.config, config) : [];
  return (
    <div className={classes.panel}>
      <div className={classes.head}>
        <span className={graphClasses.tile} data-family={family}>
          <Icon size={18} stroke={1.8} aria-hidden />
        </span>
        <div className={classes.headWords}>
          <Text fw={600} truncate>
            {labelOf(node)}
          </Text>
          <div className={classes.type}>
            {type?.title ?? node.type}
            {type ? (
              <>
                {" · "}
                <Credits value={priceOf(type, config)} unit />
              </>
            ) : null}
          </div>
        </div>
        <ActionIcon aria-label="Close the settings" onClick={onClose}>
          <IconX size={18} aria-hidden />
        </ActionIcon>
      </div>
      <Tabs
        value={tab}
        onChange={(next) => onTab(next ?? "settings")}
        className={classes.panel}
        style={{ flex: 1 }}
      >
        <Tabs.List px="sm">
          <Tabs.Tab value="settings">Settings</Tabs.Tab>
          <Tabs.Tab value="data">Data</Tabs.Tab>
          <Tabs.Tab value="try">Try</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="settings" className={classes.body}>
          <Stack key={node.id} gap="md">
            {type ? (
              <Text size="sm" c="dimmed">
                {type.help}
              </Text>
            ) : null}
            <Findings title="This cannot run" color="red" findings={general} />
            <Findings title="Check this" color="copper" findings={mine(validation.warnings)} />
            <TextInput
              label="Label"
              size="sm"
              value={node.label ?? ""}
              placeholder={node.id}
              maxLength={200}
              readOnly={isReadOnly}
              description={`Expressions call it nodes.${node.id}.output`}
              inputWrapperOrder={["label", "input", "description", "error"]}
              onChange={(event) => {
                const label = event.currentTarget.value;
                editGraph((now) => updateNode(now, node.id, { label }), { key: `label ${node.id}` });
              }}
            />
            {fields.map((field) => (
              <FormField
                key={field.name}
                field={field}
                value={config[field.name]}
                scope={scope}
                error={errorAt(field.name)}
                isReadOnly={isReadOnly}
                onChange={(value) =>
                  editGraph((now) => setConfig(now, node.id, field.name, value), {
                    key: `${field.name} ${node.id}`,
                  })
                }
              />
            ))}
            {hidden.length > 0 ? (
              <Text size="xs" c="dimmed">
                Also stored, without effect here: {hidden.join(", ")}.
              </Text>
            ) : null}
            <Connections node={node} ports={ports} commands={commands} />
            <Accordion variant="separated" chevronPosition="left">
              <Accordion.Item value="options">
                <Accordion.Control>Failures and limits</Accordion.Control>
                <Accordion.Panel>
                  <OptionsForm node={node} makesAttempts={type?.makesAttempts ?? false} />
                </Accordion.Panel>
              </Accordion.Item>
            </Accordion>
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="data" className={classes.body}>
          {result}
        </Tabs.Panel>
        <Tabs.Panel value="try" className={classes.body}>
          {tab === "try" ? (
            <TryNode
              node={node}
              run={run}
              credits={type ? priceOf(type, config) : 0}
              problem={errors[0]?.message}
            />
          ) : null}
        </Tabs.Panel>
      </Tabs>
    </div>
  );
}

function priceOf(
  type: { credits: number; creditsBy: { field: string; credits: Record<string, number> } | null },
  config: Readonly<Record<string, unknown>>,
): number {
  const chosen = type.creditsBy ? config[type.creditsBy.field] : undefined;
  return (typeof chosen === "string" ? type.creditsBy?.credits[chosen] : undefined) ?? type.credits;
}

function Findings({
  title,
  color,
  findings,
}: {
  title: string;
  color: string;
  findings: readonly Finding[];
}) {
  if (findings.length === 0) return null;
  return (
    <Alert color={color} title={title} p="sm">
      <List size="sm" spacing={2}>
        {findings.map(({ code, field, message }) => (
          <List.Item key={`${code} ${field} ${message}`}>{message}</List.Item>
        ))}
      </List>
    </Alert>
  );
}
