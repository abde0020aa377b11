// Generates src/api/schema.d.ts from the API's description, unless it is current.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

import openapiTS, { astToString } from "openapi-typescript";

const description = new URL("../../docs/openapi.json", import.meta.url);
const target = new URL("../src/api/schema.d.ts", import.meta.url);

const text = readFileSync(description, "utf8");
const mark = `// Generated from docs/openapi.json, SHA-256 ${createHash("sha256").update(text).digest("hex")}`;

if (!existsSync(target) || !readFileSync(target, "utf8").startsWith(mark)) {
  const types = astToString(await openapiTS(JSON.parse(text)));
  writeFileSync(target, `${mark}\n${types}`);
}
