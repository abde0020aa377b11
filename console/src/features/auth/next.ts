/** The address to go to after signing in: one of the console's own, or none. */
export function safeNext(value: unknown): string | undefined {
  if (typeof value !== "string" || !value.startsWith("/")) return undefined;
  const base = "https://console.invalid";
  // "//host" and "/\host" are other sites to a browser.
  return new URL(value, base).origin === base && !/^\/[/\\]/.test(value) ? value : undefined;
}
