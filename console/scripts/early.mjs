// What the first screens need besides the entry: the build writes it into index.html, and public/early.js asks for it.
import { readFileSync } from "node:fs";

const SCREENS = {
  home: ["src/features/home/HomePage.tsx"],
  "sign-in": ["src/app/StrangerFrame.tsx", "src/features/auth/SignInPage.tsx"],
};
const REQUESTS = JSON.parse(
  readFileSync(new URL("../src/features/home/requests.json", import.meta.url), "utf8"),
);

/** The files of a chunk and of all that it imports. */
function filesOf(chunk, bundle, found = new Set()) {
  if (!chunk || found.has(chunk.fileName)) return found;
  found.add(chunk.fileName);
  for (const style of chunk.viteMetadata?.importedCss ?? []) found.add(style);
  for (const name of chunk.imports) filesOf(bundle[name], bundle, found);
  return found;
}

/** A plugin of Vite that writes the files and requests of the first screens into the attributes of early.js. */
export const early = {
  name: "early",
  transformIndexHtml: {
    order: "post",
    handler(html, { bundle }) {
      if (!bundle) return html; // a development server has no chunks
      const chunks = Object.values(bundle).filter(({ type }) => type === "chunk");
      const entry = new Set(
        chunks.filter(({ isEntry }) => isEntry).flatMap((chunk) => [...filesOf(chunk, bundle)]),
      );
      const screens = Object.fromEntries(
        Object.entries(SCREENS).map(([screen, modules]) => {
          const roots = chunks.filter(({ facadeModuleId }) =>
            modules.some((module) => facadeModuleId?.endsWith(`/${module}`)),
          );
          if (roots.length !== modules.length)
            throw new Error(`The chunks of ${screen} are not in the build.`);
          const files = new Set(roots.flatMap((chunk) => [...filesOf(chunk, bundle)]));
          return [screen, [...files].filter((file) => !entry.has(file))];
        }),
      );
      const attribute = JSON.stringify({ screens, requests: REQUESTS }).replaceAll('"', "&quot;");
      return html.replace('src="./early.js"', `src="./early.js" data-first="${attribute}"`);
    },
  },
};
