/** Sums of credits, which have at most two decimals, without the errors of binary fractions. */

/** A number or decimal text in whole hundredths; its digits are taken from its text, nothing is rounded away from it. */
export function hundredths(value: number | string): bigint {
  const match = /^([-+]?)(\d+)(?:\.(\d{0,2})\d*)?$/.exec(String(value));
  if (!match) return 0n; // numbers below 1e-6 have an exponent
  const [, sign = "", whole = "0", fraction = ""] = match;
  const amount = BigInt(whole) * 100n + BigInt(fraction.padEnd(2, "0"));
  return sign === "-" ? -amount : amount;
}

/** Whole hundredths as a decimal text. */
export function fromHundredths(amount: bigint): string {
  const digits = String(amount < 0n ? -amount : amount).padStart(3, "0");
  return `${amount < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** The exact sum, as a decimal text. */
export function sumOf(values: readonly (number | string)[]): string {
  return fromHundredths(values.reduce((sum, value) => sum + hundredths(value), 0n));
}

/** The exact difference, as a decimal text. */
export function difference(from: number | string, take: number | string): string {
  return fromHundredths(hundredths(from) - hundredths(take));
}
