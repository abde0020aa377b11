// Checks what the first visit of the sign-in and of the home screen downloads, by Brotli, as a browser that takes it does.
import { readdirSync, readFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";

/** At most so many KB of script, and so many files at once with the page's data; browsers open six connections to HTTP/1.1. */
const MAX = { home: { script: 126, files: 2 }, "sign-in": { script: 140, files: 4 } };
const dist = new URL("../dist/", import.meta.url);
const page = readFileSync(new URL("index.html", dist), "utf8");

const sizeOf = (data) => brotliCompressSync(data).length / 1024;
const sizeOfFile = (file) => sizeOf(readFileSync(new URL(file, dist)));
const sum = (sizes) => sizes.reduce((total, kb) => total + kb, 0);

const entry = [
  ...page.matchAll(/<(?:script type="module"|link rel="modulepreload")[^>]*(?:src|href)="\.\/([^"]+)"/g),
].map(([, file]) => file);
const { screens } = JSON.parse(page.match(/data-first="([^"]*)"/)[1].replaceAll("&quot;", '"'));

console.log(`The page with its styles: ${sizeOf(page).toFixed(1)} KB (Brotli).`);
for (const [screen, max] of Object.entries(MAX)) {
  const files = [...entry, ...(screens[screen] ?? [])];
  const script = sum(files.filter((file) => file.endsWith(".js")).map(sizeOfFile));
  console.log(`${screen}: ${script.toFixed(1)} KB of script in ${files.length} files`);
  if (script > max.script || files.length > max.files) {
    console.error(`The first load of ${screen} may have ${max.script} KB of script and ${max.files} files.`);
    process.exitCode = 1;
  }
}
for (const file of readdirSync(new URL("assets/", dist)).filter((name) => name.endsWith(".js"))) {
  if (!entry.includes(`assets/${file}`))
    console.log(`  ${file}: ${sizeOfFile(`assets/${file}`).toFixed(1)} KB`);
}
