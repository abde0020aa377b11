/** The providers that a user may bring a key of, as they call themselves. */
import type { paths } from "@/api/schema";

export type Provider = paths["/api-keys/{provider}"]["put"]["parameters"]["path"]["provider"];

export const PROVIDERS: { id: Provider; name: string; example: string }[] = [
  { id: "openai", name: "OpenAI", example: "sk-…" },
  { id: "anthropic", name: "Anthropic", example: "sk-ant-…" },
  { id: "google", name: "Google", example: "AIza…" },
];

/** How the result of a key's test reads. */
export const RESULTS: Record<string, string> = {
  testing: "Testing",
  valid: "Works",
  invalid: "Refused by the provider",
  unreachable: "Provider not reached",
};
