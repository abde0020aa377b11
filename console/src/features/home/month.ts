/** The heights of bars in percent of the tallest; what is not zero can be seen. */
export function heights(values: readonly number[]): number[] {
  const tallest = Math.max(...values, 0);
  return values.map((value) => (value > 0 ? Math.max(4, (value / tallest) * 100) : 0));
}
