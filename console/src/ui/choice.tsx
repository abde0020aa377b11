/** Boxes that choose rows of a list, to do something with all of them. */
import { Checkbox } from "@mantine/core";

import classes from "./choice.module.css";
import type { Choice } from "./DataList";

interface Choosing<Row> {
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  /** What a row is called, for those who do not see it. */
  nameOf: (row: Row) => string;
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
}

export function choiceOf<Row>({ rows, rowKey, nameOf, chosen, onChange }: Choosing<Row>): Choice<Row> {
  const count = rows.filter((row) => chosen.has(rowKey(row))).length;
  const toggle = (key: string) => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    onChange(next);
  };
  return {
    all: (
      <Checkbox
        aria-label="Choose all rows"
        checked={count > 0 && count === rows.length}
        indeterminate={count > 0 && count < rows.length}
        onChange={() => onChange(new Set(count === rows.length ? [] : rows.map(rowKey)))}
      />
    ),
    of: (row) => (
      <Checkbox
        aria-label={`Choose ${nameOf(row)}`}
        checked={chosen.has(rowKey(row))}
        onChange={() => toggle(rowKey(row))}
        className={classes.choose ?? ""}
      />
    ),
  };
}
