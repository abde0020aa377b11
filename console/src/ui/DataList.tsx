/** Rows as a table on a desk and as cards on a phone. */
import { Checkbox, Table } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import type { ReactNode } from "react";

import classes from "./DataList.module.css";

export const DESK = "(min-width: 48em)";

/** Whether the window is as wide as on a desk. */
export function useIsDesk(): boolean {
  return useMediaQuery(DESK, window.matchMedia(DESK).matches, { getInitialValueInEffect: false });
}

export interface Column<Row> {
  key: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** Numbers stand at the right of a table. */
  numeric?: boolean;
  /** The card's heading, which has no label; usually the first column. */
  heading?: boolean;
  /** What can be done with the row, which needs no label on a card. */
  buttons?: boolean;
}

/** Rows that can be chosen, to do something with all of them. */
export interface Selection<Row> {
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
  /** What a row is called, for those who do not see it. */
  nameOf: (row: Row) => string;
}

interface DataListProps<Row> {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
  selection?: Selection<Row> | undefined;
}

export function DataList<Row>(props: DataListProps<Row>) {
  return useIsDesk() ? <RowsAsTable {...props} /> : <RowsAsCards {...props} />;
}

function ChooseRow<Row>({ row, id, selection }: { row: Row; id: string; selection: Selection<Row> }) {
  const toggle = () => {
    const next = new Set(selection.chosen);
    if (!next.delete(id)) next.add(id);
    selection.onChange(next);
  };
  return (
    <Checkbox
      aria-label={`Choose ${selection.nameOf(row)}`}
      checked={selection.chosen.has(id)}
      onChange={toggle}
      className={classes.choose ?? ""}
    />
  );
}

function ChooseAll<Row>({
  rows,
  rowKey,
  selection,
}: Pick<DataListProps<Row>, "rows" | "rowKey"> & { selection: Selection<Row> }) {
  const chosen = rows.filter((row) => selection.chosen.has(rowKey(row))).length;
  return (
    <Checkbox
      aria-label="Choose all rows"
      checked={chosen > 0 && chosen === rows.length}
      indeterminate={chosen > 0 && chosen < rows.length}
      onChange={() => selection.onChange(new Set(chosen === rows.length ? [] : rows.map(rowKey)))}
    />
  );
}

function RowsAsTable<Row>({ label, rows, columns, rowKey, selection }: DataListProps<Row>) {
  return (
    <div className={classes.frame}>
      <Table aria-label={label} verticalSpacing="sm" horizontalSpacing="md" className={classes.table}>
        <Table.Thead>
          <Table.Tr>
            {selection ? (
              <Table.Th w={48}>
                <ChooseAll rows={rows} rowKey={rowKey} selection={selection} />
              </Table.Th>
            ) : null}
            {columns.map((column) => (
              <Table.Th key={column.key} scope="col" className={column.numeric ? classes.numeric : undefined}>
                {column.header}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={rowKey(row)}>
              {selection ? (
                <Table.Td>
                  <ChooseRow row={row} id={rowKey(row)} selection={selection} />
                </Table.Td>
              ) : null}
              {columns.map((column) => (
                <Table.Td key={column.key} className={column.numeric ? classes.numeric : undefined}>
                  {column.cell(row)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function RowsAsCards<Row>({ label, rows, columns, rowKey, selection }: DataListProps<Row>) {
  return (
    <ul className={classes.cards} aria-label={label}>
      {rows.map((row) => (
        <li key={rowKey(row)} className={classes.card}>
          {columns.map((column) =>
            column.heading ? (
              <div key={column.key} className={classes.heading}>
                <div>{column.cell(row)}</div>
                {selection ? <ChooseRow row={row} id={rowKey(row)} selection={selection} /> : null}
              </div>
            ) : (
              <div key={column.key} className={classes.line}>
                {column.buttons ? null : <span className={classes.label}>{column.header}</span>}
                <span className={column.buttons ? classes.buttons : undefined}>{column.cell(row)}</span>
              </div>
            ),
          )}
        </li>
      ))}
    </ul>
  );
}
