import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import { early } from "./scripts/early.mjs";

const api = process.env.CONSOLE_API ?? "http://127.0.0.1:3000";

/** The modules that screens share; editors, charts, the canvas and their helpers stay in files of their own. */
const BASE =
  /node_modules\/(react|react-dom|scheduler|openapi-fetch|@mantine|@tanstack|@tabler|@floating-ui|react-[a-z-]+|use-[a-z-]+|clsx)\/|src\/(app|api|ui)\/[^/]*$/;

/** The address of the console, from which that of the API follows; a server below a path writes another one. */
const base: Plugin = {
  name: "base",
  transformIndexHtml: () => [
    { tag: "base", attrs: { href: "/console/" }, injectTo: "head-prepend" },
    // Asked for while the scripts load; the first screen waits for it.
    { tag: "link", attrs: { rel: "preload", href: "../api/auth/me", as: "fetch", crossorigin: true } },
  ],
};

export default defineConfig(({ command }) => ({
  base: command === "serve" ? "/console/" : "./", // a server may put any path into the <base> of index.html
  plugins: [react(), base, early],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { host: "127.0.0.1", port: 5173, proxy: { "/api": { target: api, changeOrigin: false } } },
  build: {
    target: "es2022",
    manifest: true,
    assetsInlineLimit: 0, // the content security policy allows no data: URLs but for images
    // What every screen needs comes in one file, not in forty small ones, which a slow network would fetch in turns.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "base", test: BASE, minShareCount: 5 }] } },
    },
    chunkSizeWarningLimit: 1600, // elkjs is one file; scripts/size.mjs watches what the first load needs
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
}));
