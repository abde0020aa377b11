// Checks what the first visit downloads: the entry, the shell and the home screen with all that they import, by gzip.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const MAX_SCRIPT_KB = 250;
const FIRST = ["index.html", "src/app/Shell.tsx", "src/features/home/HomePage.tsx"];
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

const size = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length / 1024;

function filesOf(name, found = new Map()) {
  const chunk = manifest[name];
  if (!chunk || found.has(chunk.file)) return found;
  found.set(chunk.file, size(chunk.file));
  for (const style of chunk.css ?? []) found.set(style, size(style));
  for (const other of chunk.imports ?? []) filesOf(other, found);
  return found;
}

const sum = (sizes) => sizes.reduce((total, kb) => total + kb, 0);
const first = new Map(FIRST.flatMap((name) => [...filesOf(name)]));
const scripts = sum([...first].filter(([file]) => file.endsWith(".js")).map(([, kb]) => kb));
const styles = sum([...first].filter(([file]) => file.endsWith(".css")).map(([, kb]) => kb));

console.log(`First load: ${scripts.toFixed(1)} KB of script, ${styles.toFixed(1)} KB of style (gzip).`);
for (const [name, chunk] of Object.entries(manifest)) {
  if (!chunk.isDynamicEntry) continue;
  const more = sum([...filesOf(name)].filter(([file]) => !first.has(file)).map(([, kb]) => kb));
  console.log(`  ${name.replace("src/", "")}: ${more.toFixed(1)} KB more`);
}
if (scripts > MAX_SCRIPT_KB) {
  console.error(`The first load may have ${MAX_SCRIPT_KB} KB of script.`);
  process.exit(1);
}
