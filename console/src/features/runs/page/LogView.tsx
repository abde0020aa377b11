/** The log of a run. Only the lines in sight are drawn, so that ten thousand scroll like ten. */
import { Button, Checkbox, Group, TextInput } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCircleX,
  IconDownload,
  IconInfoCircle,
  IconSearch,
} from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";

import type { LogEntry } from "@/api/runs";
import { formatCount } from "@/ui/format";
import { JsonView, saveFile } from "@/ui/json/JsonView";
import { Empty } from "@/ui/states";

import { asText, shownEntries } from "./log";
import classes from "./LogView.module.css";
import { iterationName } from "./waiting";

const LINE_HEIGHT = 34;
const NEAR_END = 60;

interface LogViewProps {
  entries: readonly LogEntry[];
  labels: ReadonlyMap<string, string>;
  fileName: string;
}

export function LogView({ entries, labels, fileName }: LogViewProps) {
  const [text, setText] = useState("");
  const [onlyProblems, setOnlyProblems] = useState(false);
  const shown = shownEntries(entries, { text, level: onlyProblems ? "problems" : "all" }, labels);
  return (
    <>
      <Group mb="sm" gap="sm" align="center">
        <TextInput
          aria-label="Find in the log"
          placeholder="Find in the log"
          size="sm"
          leftSection={<IconSearch size={16} aria-hidden />}
          className={classes.find}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <Checkbox
          label="Only problems"
          checked={onlyProblems}
          onChange={(event) => setOnlyProblems(event.currentTarget.checked)}
        />
        <span className={classes.count} role="status">
          {shown.length === entries.length
            ? `${formatCount(entries.length)} lines`
            : `${formatCount(shown.length)} of ${formatCount(entries.length)} lines`}
        </span>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconDownload size={16} aria-hidden />}
          onClick={() => saveFile(fileName, asText(entries))}
        >
          Save
        </Button>
      </Group>
      {shown.length > 0 ? (
        <Lines entries={shown} labels={labels} />
      ) : (
        <Empty title={entries.length === 0 ? "Nothing has happened yet" : "No line is like that"} />
      )}
    </>
  );
}

/** Lines that stay at the end while they are read there, as a terminal does. */
function Lines({ entries, labels }: { entries: readonly LogEntry[]; labels: ReadonlyMap<string, string> }) {
  "use no memo"; // the virtualizer changes in place
  const frame = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  // eslint-disable-next-line react-hooks/incompatible-library -- this component is not memoised
  const lines = useVirtualizer({
    count: entries.length,
    getScrollElement: () => frame.current,
    estimateSize: () => LINE_HEIGHT,
    getItemKey: (index) => entries[index]?.seq ?? index,
    overscan: 12,
  });

  useEffect(() => {
    if (atEnd.current && entries.length > 0) lines.scrollToIndex(entries.length - 1, { align: "end" });
  }, [entries.length, lines]);

  const toggle = (seq: number) => {
    const next = new Set(open);
    if (!next.delete(seq)) next.add(seq);
    setOpen(next);
  };
  const onScroll = () => {
    const { current } = frame;
    if (current) atEnd.current = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR_END;
  };
  return (
    <div
      ref={frame}
      className={classes.frame}
      role="log"
      aria-live="off"
      aria-label="Log"
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls is reached by keyboard
      tabIndex={0}
      onScroll={onScroll}
    >
      <div className={classes.canvas} style={{ height: lines.getTotalSize() }}>
        {lines.getVirtualItems().map(({ index, start, key }) => {
          const entry = entries[index];
          if (!entry) return null;
          return (
            <div
              key={key}
              ref={lines.measureElement}
              data-index={index}
              className={classes.slot}
              style={{ transform: `translateY(${start}px)` }}
            >
              <Line
                entry={entry}
                labels={labels}
                isOpen={open.has(entry.seq)}
                onToggle={() => toggle(entry.seq)}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

const CLOCK = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hour12: false,
});

interface LineProps {
  entry: LogEntry;
  labels: ReadonlyMap<string, string>;
  isOpen: boolean;
  onToggle: () => void;
}

function Line({ entry, labels, isOpen, onToggle }: LineProps) {
  const { at, level, nodeId, path, message, data } = entry;
  const place = nodeId
    ? [labels.get(nodeId) ?? nodeId, iterationName(path)].filter(Boolean).join(" · ")
    : null;
  const hasMore = data !== null && Object.keys(data).length > 0;
  return (
    <div className={classes.line} data-level={level}>
      <time dateTime={at} title={new Date(at).toLocaleString()} className={classes.time}>
        {CLOCK.format(new Date(at))}
      </time>
      <Level level={level} />
      <div className={classes.words}>
        {place ? <span className={classes.place}>{place}</span> : null}
        <span>{message}</span>
        {hasMore ? (
          <button type="button" className={classes.more} aria-expanded={isOpen} onClick={onToggle}>
            {isOpen ? "Less" : "Details"}
          </button>
        ) : null}
        {isOpen ? <JsonView value={data} label={`Details of line ${entry.seq}`} /> : null}
      </div>
    </div>
  );
}

function Level({ level }: { level: string }) {
  const Icon = level === "error" ? IconCircleX : level === "warning" ? IconAlertTriangle : IconInfoCircle;
  return <Icon size={16} role="img" aria-label={level} className={classes.level} />;
}
