import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import { firstScreen } from "./scripts/first-screen.mjs";
import { mantineStyles } from "./scripts/mantine-styles.mjs";

const api = process.env.CONSOLE_API ?? "http://127.0.0.1:3000";

/** The modules that screens share; editors, charts, the canvas and their helpers stay in files of their own. */
const BASE =
  /node_modules\/(react|react-dom|scheduler|openapi-fetch|@mantine|@tanstack|@tabler|@floating-ui|react-[a-z-]+|use-[a-z-]+|clsx)\/|src\/(app|api|ui)\/[^/]*$/;

/** What nearly every form has; the sign-in needs it, and nothing else of the base. */
const FIELDS =
  /node_modules\/@mantine\/(form|core\/esm\/components\/(Input|InputBase|TextInput|PasswordInput))\//;

/** The address of the console, from which that of the API follows; a server below a path writes another one. */
const base: Plugin = {
  name: "base",
  transformIndexHtml: () => [{ tag: "base", attrs: { href: "/console/" }, injectTo: "head-prepend" }],
};

export default defineConfig(({ command }) => ({
  base: command === "serve" ? "/console/" : "./", // a server may put any path into the <base> of index.html
  plugins: [react(), mantineStyles, base, firstScreen],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { host: "127.0.0.1", port: 5173, proxy: { "/api": { target: api, changeOrigin: false } } },
  build: {
    target: "es2022",
    manifest: true,
    assetsInlineLimit: 0, // the content security policy allows no data: URLs but for images
    // What every screen needs comes in one file, not in forty small ones, which a slow network would fetch in turns.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "first", tags: ["$initial"], priority: 3 },
            { name: "first", test: /rolldown.runtime/, priority: 3 },
            { name: "fields", test: FIELDS, priority: 2 },
            { name: "auth", test: /src\/(app\/StrangerFrame|features\/auth\/[^/]*$)/, priority: 1 },
            { name: "base", test: BASE, minShareCount: 5 },
          ],
        },
      },
    },
    chunkSizeWarningLimit: 1600, // elkjs is one file; scripts/size.mjs watches what the first load needs
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
}));
