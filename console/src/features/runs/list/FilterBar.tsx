/** The filter of the list of runs. The address holds it, so that a list can be kept and shared. */
import { Button, Popover, Select, Stack, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconAdjustmentsHorizontal, IconSearch, IconX } from "@tabler/icons-react";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { FilterChips } from "@/ui/FilterChips";

import { type Period, type RunFilter, STATUSES, without } from "./filter";
import classes from "./FilterBar.module.css";

const route = getRouteApi("/shell/runs");
const TYPING_MS = 350;

const STATE_NAMES: Record<string, string> = {
  "": "All",
  queued: "Queued",
  running: "Running",
  waiting: "Waiting",
  cancelling: "Cancelling",
  success: "Success",
  failed: "Failed",
  cancelled: "Cancelled",
};
const STATES = ["" as const, ...STATUSES].map((value) => ({ value, label: STATE_NAMES[value] ?? value }));

const namesQuery = queryOptions({
  queryKey: keys.workflows.list({ limit: 100, names: true }),
  queryFn: async ({ signal }) => {
    const { workflows } = await body(api.GET("/workflows", { params: { query: { limit: 100 } }, signal }));
    return workflows.map(({ id, name }) => ({ value: id, label: name }));
  },
  staleTime: 60_000,
});

export function FilterBar() {
  const filter = route.useSearch();
  const navigate = route.useNavigate();
  const change = (search: RunFilter) => void navigate({ search, replace: true });
  const { status, query, ...others } = filter;
  const count = Object.keys(others).length;
  return (
    <>
      <FilterChips
        label="State"
        choices={STATES}
        value={status ?? ""}
        onChange={(value) => {
          change(value === "" ? without(filter, "status") : { ...filter, status: value });
        }}
      />
      <div className={classes.row}>
        <Words key={query ?? ""} filter={filter} onChange={change} />
        <Popover position="bottom-end" width={340} shadow="md" trapFocus>
          <Popover.Target>
            <Button
              variant="default"
              size="md"
              className={classes.more ?? ""}
              leftSection={<IconAdjustmentsHorizontal size={18} aria-hidden />}
            >
              Filter{count > 0 ? ` · ${count}` : ""}
            </Button>
          </Popover.Target>
          <Popover.Dropdown>
            <More filter={filter} onChange={change} />
          </Popover.Dropdown>
        </Popover>
      </div>
    </>
  );
}

interface PartProps {
  filter: RunFilter;
  onChange: (filter: RunFilter) => void;
}

function Words({ filter, onChange }: PartProps) {
  const [text, setText] = useState(filter.query ?? "");
  const search = useDebouncedCallback((words: string) => {
    onChange(words.trim() ? { ...filter, query: words.trim() } : without(filter, "query"));
  }, TYPING_MS);
  return (
    <TextInput
      type="search"
      aria-label="Find words in errors, tags and workflows"
      placeholder="Words in errors, tags, workflows"
      leftSection={<IconSearch size={18} aria-hidden />}
      className={classes.words ?? ""}
      maxLength={200}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        search(event.currentTarget.value);
      }}
    />
  );
}

const PERIOD_NAMES: { value: Period; label: string }[] = [
  { value: "1h", label: "The last hour" },
  { value: "24h", label: "The last 24 hours" },
  { value: "7d", label: "The last 7 days" },
  { value: "30d", label: "The last 30 days" },
];

function More({ filter, onChange }: PartProps) {
  const names = useQuery(namesQuery);
  const { workflowId, tag, within, from, to, ...rest } = filter;
  /** The filter with other values; an empty one is no part of it. */
  const withValues = (values: Partial<Record<keyof RunFilter, string | null>>) => {
    const all = { workflowId, tag, within, from, to, ...values };
    const given = Object.entries(all).filter(([, value]) => value);
    onChange({ ...rest, ...(Object.fromEntries(given) as RunFilter) });
  };
  return (
    <Stack gap="sm">
      <Select
        label="Workflow"
        searchable
        clearable
        clearButtonProps={{ "aria-label": "Any workflow" }}
        placeholder="Any"
        comboboxProps={{ withinPortal: false }}
        data={names.data ?? []}
        value={workflowId ?? null}
        onChange={(value) => withValues({ workflowId: value })}
      />
      <TextInput
        label="Tag"
        size="sm"
        placeholder="Any"
        maxLength={40}
        defaultValue={tag ?? ""}
        onBlur={(event) => withValues({ tag: event.currentTarget.value.trim() })}
        onKeyDown={(event) => {
          if (event.key === "Enter") withValues({ tag: event.currentTarget.value.trim() });
        }}
      />
      <Select
        label="Time"
        clearable
        clearButtonProps={{ "aria-label": "Any time" }}
        placeholder={from || to ? "As below" : "Any"}
        comboboxProps={{ withinPortal: false }}
        data={PERIOD_NAMES}
        value={within ?? null}
        onChange={(value) => withValues({ within: value, from: null, to: null })}
      />
      <TextInput
        label="From"
        size="sm"
        type="datetime-local"
        value={from ?? ""}
        onChange={(event) => withValues({ from: event.currentTarget.value, within: null })}
      />
      <TextInput
        label="Before"
        size="sm"
        type="datetime-local"
        value={to ?? ""}
        onChange={(event) => withValues({ to: event.currentTarget.value, within: null })}
      />
      <Button
        variant="subtle"
        size="sm"
        leftSection={<IconX size={16} aria-hidden />}
        onClick={() => onChange({})}
      >
        Clear the filter
      </Button>
    </Stack>
  );
}
