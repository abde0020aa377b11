// Writes a .gz and a .br beside each text file of the build, for servers that send them as they are.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
const TEXT = /\.(?:html|js|css|svg|json|webmanifest)$/;
const SMALLEST = 1024; // a smaller file fits in a packet anyway

for (const name of readdirSync(dist, { recursive: true }).map(String)) {
  if (!TEXT.test(name)) continue;
  const data = readFileSync(join(dist, name));
  if (data.length < SMALLEST) continue;
  writeFileSync(join(dist, `${name}.gz`), gzipSync(data, { level: 9 }));
  writeFileSync(join(dist, `${name}.br`), brotliCompressSync(data));
}
