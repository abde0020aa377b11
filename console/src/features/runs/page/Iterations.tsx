/** The iterations of a node in a loop, of which one is looked at. */
import { Button, Checkbox, Group } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";

import { formatDuration } from "@/ui/format";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";

import { iterationsQuery, stateOf, type StepSummary } from "./steps";
import classes from "./StepDrawer.module.css";
import type { Step } from "./timeline";
import { iterationName } from "./waiting";

interface IterationsProps {
  runId: string;
  step: Step;
  path: string | undefined;
  onSelect: (path: string) => void;
}

export function Iterations({ runId, step, path, onSelect }: IterationsProps) {
  const [onlyFailed, setOnlyFailed] = useState(false);
  const query = useInfiniteQuery({
    ...iterationsQuery(runId, step.nodeId, onlyFailed, stateOf(step)),
    placeholderData: keepPreviousData,
  });
  return (
    <section aria-label="Iterations">
      <Group justify="space-between" mb="xs">
        <h3 className={classes.heading}>Iterations</h3>
        <Checkbox
          size="sm"
          label="Only failed"
          checked={onlyFailed}
          onChange={(event) => setOnlyFailed(event.currentTarget.checked)}
        />
      </Group>
      <Loaded
        query={query}
        rows={3}
        isEmpty={({ pages }) => pages.every(({ steps }) => steps.length === 0)}
        empty={<Empty title={onlyFailed ? "None has failed" : "None has begun"} />}
      >
        {({ pages }) => (
          <ul className={classes.iterations}>
            {pages
              .flatMap(({ steps }) => steps)
              .map((iteration) => (
                <li key={iteration.path}>
                  <Iteration iteration={iteration} isOpen={iteration.path === path} onSelect={onSelect} />
                </li>
              ))}
            {query.hasNextPage ? (
              <li>
                <Button
                  fullWidth
                  size="sm"
                  variant="subtle"
                  loading={query.isFetchingNextPage}
                  onClick={() => void query.fetchNextPage()}
                >
                  Show more
                </Button>
              </li>
            ) : null}
          </ul>
        )}
      </Loaded>
    </section>
  );
}

interface IterationProps {
  iteration: StepSummary;
  isOpen: boolean;
  onSelect: (path: string) => void;
}

function Iteration({ iteration, isOpen, onSelect }: IterationProps) {
  return (
    <button
      type="button"
      className={classes.iteration}
      aria-pressed={isOpen}
      onClick={() => onSelect(iteration.path)}
    >
      <span>{iterationName(iteration.path) ?? "Once"}</span>
      <StatusBadge status={iteration.status} />
      <span className={classes.took}>
        {iteration.duration === null ? "–" : formatDuration(iteration.duration)}
      </span>
    </button>
  );
}
