/** Bars over time by uPlot, with the same numbers as a table for those who do not see them. */
import "uplot/dist/uPlot.min.css";

import { useMantineColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import { formatCount, formatDate } from "@/ui/format";

import classes from "./charts.module.css";

export interface Point {
  at: string;
  value: number;
}

interface ChartProps {
  label: string;
  unit: string;
  points: readonly Point[];
  height?: number;
}

export function BarChart({ label, unit, points, height = 220 }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const { colorScheme } = useMantineColorScheme();
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const plot = new uPlot(optionsOf(element, label, height), dataOf(points), element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [points, label, height, colorScheme]); // the colours are read when it is drawn
  return (
    <figure className={classes.figure}>
      <div ref={frame} aria-hidden className={classes.frame} style={{ height }} />
      <table className={classes.hidden}>
        <caption>{label}</caption>
        <tbody>
          {points.map(({ at, value }) => (
            <tr key={at}>
              <th scope="row">{formatDate(new Date(at))}</th>
              <td>
                {formatCount(value)} {unit}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

function dataOf(points: readonly Point[]): uPlot.AlignedData {
  return [points.map(({ at }) => new Date(at).getTime() / 1000), points.map(({ value }) => value)];
}

const DAY = 86_400; // seconds

/** A time at the axis, as exactly as the step between two of them needs it; both in seconds. */
function tickWord(at: number, step: number): string {
  const parts: Intl.DateTimeFormatOptions =
    step < DAY
      ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }
      : step < 28 * DAY
        ? { month: "short", day: "numeric" }
        : { month: "short" };
  return new Intl.DateTimeFormat("en", parts).format(new Date(at * 1000));
}

function optionsOf(element: HTMLElement, label: string, height: number): uPlot.Options {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--af-text-dim"),
    grid: { stroke: color("--af-line"), width: 1 },
    ticks: { stroke: color("--af-line"), width: 1 },
    font: `12px ${style.fontFamily}`,
  };
  const bars = uPlot.paths.bars?.({ size: [0.7, 48] });
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { y: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      { ...axis, values: (_, at, __, ___, step) => at.map((one) => tickWord(one, step)) },
      { ...axis, size: 56 },
    ],
    series: [
      {},
      {
        label,
        fill: color("--af-accent"),
        width: 0,
        points: { show: false },
        ...(bars ? { paths: bars } : {}),
      },
    ],
  };
}
