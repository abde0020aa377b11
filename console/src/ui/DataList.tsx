/** Rows as a table on a desk and as cards on a phone. */
import { Table } from "@mantine/core";
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
}

interface DataListProps<Row> {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
}

export function DataList<Row>(props: DataListProps<Row>) {
  return useIsDesk() ? <RowsAsTable {...props} /> : <RowsAsCards {...props} />;
}

function RowsAsTable<Row>({ label, rows, columns, rowKey }: DataListProps<Row>) {
  return (
    <div className={classes.frame}>
      <Table aria-label={label} verticalSpacing="sm" horizontalSpacing="md" className={classes.table}>
        <Table.Thead>
          <Table.Tr>
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

function RowsAsCards<Row>({ label, rows, columns, rowKey }: DataListProps<Row>) {
  return (
    <ul className={classes.cards} aria-label={label}>
      {rows.map((row) => (
        <li key={rowKey(row)} className={classes.card}>
          {columns.map((column) =>
            column.heading ? (
              <div key={column.key} className={classes.heading}>
                {column.cell(row)}
              </div>
            ) : (
              <div key={column.key} className={classes.line}>
                <span className={classes.label}>{column.header}</span>
                <span>{column.cell(row)}</span>
              </div>
            ),
          )}
        </li>
      ))}
    </ul>
  );
}
