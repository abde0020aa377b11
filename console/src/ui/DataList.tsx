/** Rows as a table on a desk and as cards on a phone. */
import type { ReactNode } from "react";

import classes from "./DataList.module.css";
import { useIsDesk } from "./useIsDesk";

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

/** Boxes with which rows are chosen: choice.tsx makes them. */
export interface Choice<Row> {
  all: ReactNode;
  of: (row: Row) => ReactNode;
}

interface DataListProps<Row> {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
  choice?: Choice<Row> | undefined;
}

export function DataList<Row>(props: DataListProps<Row>) {
  return useIsDesk() ? <RowsAsTable {...props} /> : <RowsAsCards {...props} />;
}

function RowsAsTable<Row>({ label, rows, columns, rowKey, choice }: DataListProps<Row>) {
  return (
    <div className={classes.frame}>
      <table aria-label={label} className={classes.table}>
        <thead>
          <tr>
            {choice ? <th className={classes.choice}>{choice.all}</th> : null}
            {columns.map((column) => (
              <th key={column.key} scope="col" className={column.numeric ? classes.numeric : undefined}>
                {column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {choice ? <td>{choice.of(row)}</td> : null}
              {columns.map((column) => (
                <td key={column.key} className={column.numeric ? classes.numeric : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RowsAsCards<Row>({ label, rows, columns, rowKey, choice }: DataListProps<Row>) {
  return (
    <ul className={classes.cards} aria-label={label}>
      {rows.map((row) => (
        <li key={rowKey(row)} className={classes.card}>
          {columns.map((column) =>
            column.heading ? (
              <div key={column.key} className={classes.heading}>
                <div>{column.cell(row)}</div>
                {choice ? choice.of(row) : null}
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
