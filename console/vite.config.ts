import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env.CONSOLE_API ?? "http://127.0.0.1:3000";

export default defineConfig({
  base: process.env.CONSOLE_BASE ?? "/console/",
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { host: "127.0.0.1", port: 5173, proxy: { "/api": { target: api, changeOrigin: false } } },
  build: {
    target: "es2022",
    manifest: true,
    assetsInlineLimit: 0, // the content security policy allows no data: URLs but for images
    chunkSizeWarningLimit: 1600, // elkjs is one file; scripts/size.mjs watches what the first load needs
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
