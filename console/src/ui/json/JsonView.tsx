/** A JSON value as a tree: closed below the first levels, large lists by pages, long texts cut, all as text. */
import { ActionIcon, CopyButton, Tooltip } from "@mantine/core";
import { IconCheck, IconChevronRight, IconCopy, IconDownload } from "@tabler/icons-react";
import { useState } from "react";

import classes from "./JsonView.module.css";
import { childrenOf, kindOf, MAX_TEXT, PAGE, summaryOf, textOf } from "./tree";

interface JsonViewProps {
  value: unknown;
  /** What it is, for those who do not see it: "Output of Analyse". */
  label: string;
  /** The name of the file when it is saved. */
  fileName?: string;
  /** The number of levels that are open at first. */
  open?: number;
}

export function JsonView({ value, label, fileName = "value.json", open = 2 }: JsonViewProps) {
  const isText = typeof value === "string";
  return (
    <div className={classes.frame} role="group" aria-label={label}>
      <div className={classes.tools}>
        <CopyButton value={isText ? value : textOf(value)}>
          {({ copied, copy }) => (
            <Tooltip label={copied ? "Copied" : "Copy"}>
              <ActionIcon size="md" aria-label={copied ? "Copied" : `Copy ${label}`} onClick={copy}>
                {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
              </ActionIcon>
            </Tooltip>
          )}
        </CopyButton>
        <Tooltip label="Save as a file">
          <ActionIcon
            size="md"
            aria-label={`Save ${label}`}
            onClick={() => saveFile(isText ? fileName.replace(/\.json$/, ".txt") : fileName, textOf(value))}
          >
            <IconDownload size={16} />
          </ActionIcon>
        </Tooltip>
      </div>
      {isText ? <LongText text={value} className={classes.prose} /> : <Value value={value} open={open} />}
    </div>
  );
}

/** Save a text as a file of the viewer's. */
export function saveFile(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function Value({ value, open }: { value: unknown; open: number }) {
  const kind = kindOf(value);
  if (kind === "object" || kind === "array") return <Children value={value} open={open} />;
  return <Leaf value={value} />;
}

function Leaf({ value }: { value: unknown }) {
  const kind = kindOf(value);
  if (typeof value === "string") return <LongText text={value} className={classes.string} />;
  return (
    <span className={classes.leaf} data-kind={kind}>
      {textOf(value)}
    </span>
  );
}

function LongText({ text, className }: { text: string; className?: string | undefined }) {
  const [whole, setWhole] = useState(false);
  if (text === "") return <span className={classes.dim}>empty text</span>;
  const isLong = text.length > MAX_TEXT;
  return (
    <span className={className}>
      {isLong && !whole ? text.slice(0, MAX_TEXT) : text}
      {isLong ? (
        <button type="button" className={classes.more} onClick={() => setWhole(!whole)}>
          {whole ? "Show less" : `Show all ${text.length.toLocaleString("en")} characters`}
        </button>
      ) : null}
    </span>
  );
}

function Children({ value, open }: { value: unknown; open: number }) {
  const [shown, setShown] = useState(PAGE);
  const children = childrenOf(value);
  if (children.length === 0)
    return <span className={classes.dim}>{Array.isArray(value) ? "empty list" : "empty object"}</span>;
  return (
    <ul className={classes.children}>
      {children.slice(0, shown).map(([name, child]) => (
        <li key={name}>
          <Child name={name} value={child} open={open - 1} isItem={Array.isArray(value)} />
        </li>
      ))}
      {children.length > shown ? (
        <li>
          <button type="button" className={classes.more} onClick={() => setShown(shown + PAGE)}>
            {`Show ${Math.min(PAGE, children.length - shown)} more of ${(children.length - shown).toLocaleString("en")}`}
          </button>
        </li>
      ) : null}
    </ul>
  );
}

function Child({
  name,
  value,
  open,
  isItem,
}: {
  name: string;
  value: unknown;
  open: number;
  isItem: boolean;
}) {
  const [isOpen, setOpen] = useState(open > 0);
  const kind = kindOf(value);
  const label = <span className={isItem ? classes.index : classes.name}>{name}</span>;
  if (kind !== "object" && kind !== "array") {
    return (
      <div className={classes.line}>
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  return (
    <>
      <button
        type="button"
        className={classes.toggle}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <IconChevronRight size={14} aria-hidden className={classes.chevron} />
        {label}
        <span className={classes.dim}>{summaryOf(value)}</span>
      </button>
      {isOpen ? <Children value={value} open={open} /> : null}
    </>
  );
}
