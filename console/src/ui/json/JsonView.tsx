/** A JSON value as a tree: closed below the first levels, large lists by pages, long texts cut, all as text. */
import { ActionIcon, CopyButton, Tooltip } from "@mantine/core";
import { IconCheck, IconChevronRight, IconCopy, IconDownload } from "@tabler/icons-react";
import { createContext, useContext, useMemo, useState } from "react";

import classes from "./JsonView.module.css";
import { lengthOf, pointerTo } from "./parts";
import { childrenOf, kindOf, MAX_TEXT, PAGE, summaryOf, textOf } from "./tree";

interface JsonViewProps {
  value: unknown;
  /** What it is, for those who do not see it: "Output of Analyse". */
  label: string;
  /** The name of the file when it is saved. */
  fileName?: string;
  /** The number of levels that are open at first. */
  open?: number;
  /** How long the values at these JSON pointers are, of which only the beginning is here. */
  cut?: ReadonlyMap<string, number> | undefined;
  /** Get what follows at a pointer, of which `have` items or characters are here. */
  onMore?: ((pointer: string, have: number) => Promise<unknown>) | undefined;
}

const Cut = createContext<Pick<JsonViewProps, "cut" | "onMore">>({});

export function JsonView({ value, label, fileName = "value.json", open = 2, cut, onMore }: JsonViewProps) {
  const isText = typeof value === "string";
  const whole = useMemo(() => ({ cut, onMore }), [cut, onMore]);
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
      <Cut value={whole}>
        {isText ? (
          <LongText text={value} pointer="" className={classes.prose} />
        ) : (
          <Value value={value} pointer="" open={open} />
        )}
      </Cut>
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

interface ValueProps {
  value: unknown;
  pointer: string;
}

function Value({ value, pointer, open }: ValueProps & { open: number }) {
  const kind = kindOf(value);
  if (kind === "object" || kind === "array") return <Children value={value} pointer={pointer} open={open} />;
  return <Leaf value={value} pointer={pointer} />;
}

function Leaf({ value, pointer }: ValueProps) {
  const kind = kindOf(value);
  if (typeof value === "string")
    return <LongText text={value} pointer={pointer} className={classes.string} />;
  return (
    <span className={classes.leaf} data-kind={kind}>
      {textOf(value)}
    </span>
  );
}

interface LongTextProps {
  text: string;
  pointer: string;
  className?: string | undefined;
}

function LongText({ text, pointer, className }: LongTextProps) {
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
      {isLong && !whole ? null : <More pointer={pointer} value={text} noun="characters" />}
    </span>
  );
}

/** Gets what follows of a value of which only the beginning is here. */
function More({ pointer, value, noun }: ValueProps & { noun: string }) {
  const { cut, onMore } = useContext(Cut);
  const [busy, setBusy] = useState(false);
  const total = cut?.get(pointer);
  if (total === undefined || !onMore) return null;
  const have = lengthOf(value);
  const load = async () => {
    setBusy(true);
    try {
      await onMore(pointer, have);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button type="button" className={classes.more} disabled={busy} onClick={() => void load()}>
      {busy
        ? "Loading…"
        : `Load more: ${have.toLocaleString("en")} of ${total.toLocaleString("en")} ${noun} are here`}
    </button>
  );
}

function Children({ value, pointer, open }: ValueProps & { open: number }) {
  const [shown, setShown] = useState(PAGE);
  const children = childrenOf(value);
  if (children.length === 0)
    return <span className={classes.dim}>{Array.isArray(value) ? "empty list" : "empty object"}</span>;
  return (
    <ul className={classes.children}>
      {children.slice(0, shown).map(([name, child]) => (
        <li key={name}>
          <Child
            name={name}
            value={child}
            pointer={pointerTo(pointer, name)}
            open={open - 1}
            isItem={Array.isArray(value)}
          />
        </li>
      ))}
      {children.length > shown ? (
        <li>
          <button type="button" className={classes.more} onClick={() => setShown(shown + PAGE)}>
            {`Show ${Math.min(PAGE, children.length - shown)} more of ${(children.length - shown).toLocaleString("en")}`}
          </button>
        </li>
      ) : (
        <li>
          <More pointer={pointer} value={value} noun={Array.isArray(value) ? "items" : "fields"} />
        </li>
      )}
    </ul>
  );
}

interface ChildProps extends ValueProps {
  name: string;
  open: number;
  isItem: boolean;
}

function Child({ name, value, pointer, open, isItem }: ChildProps) {
  const [isOpen, setOpen] = useState(open > 0);
  const total = useContext(Cut).cut?.get(pointer);
  const kind = kindOf(value);
  const label = <span className={isItem ? classes.index : classes.name}>{name}</span>;
  if (kind !== "object" && kind !== "array") {
    return (
      <div className={classes.line}>
        {label}
        <Leaf value={value} pointer={pointer} />
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
        <span className={classes.dim}>{summaryOf(value, total)}</span>
      </button>
      {isOpen ? <Children value={value} pointer={pointer} open={open} /> : null}
    </>
  );
}
