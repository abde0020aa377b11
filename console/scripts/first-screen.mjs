/**
 * A plugin of Vite that makes index.html ask at once for all that the first screen needs, so that a slow network is
 * waited for twice only: for the page, and for everything else at the same time. The page brings the script boot.js, the
 * styles of these screens, and what boot.js asks for: the other scripts and the data of a screen.
 */
import { readFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(`../src/${path}`, import.meta.url), "utf8");

/** The modules of a screen that are not in the entry, by the name that boot.js gives to the screen. */
const SCREENS = { "sign-in": ["src/app/StrangerFrame.tsx", "src/features/auth/SignInPage.tsx"] };
const ME = "/auth/me";
const REQUESTS = {
  home: [ME, ...JSON.parse(read("features/home/requests.json"))],
  "sign-in": ["/config"],
  other: [ME],
};

/** The files of a chunk and of all that it imports. */
function filesOf(chunk, bundle, found = new Set()) {
  if (!chunk || found.has(chunk.fileName)) return found;
  found.add(chunk.fileName);
  for (const style of chunk.viteMetadata?.importedCss ?? []) found.add(style);
  for (const name of chunk.imports) filesOf(bundle[name], bundle, found);
  return found;
}

/** The files of each screen that the entry does not have. */
function filesOfScreens(bundle) {
  const chunks = Object.values(bundle).filter(({ type }) => type === "chunk");
  const entry = new Set(
    chunks.filter(({ isEntry }) => isEntry).flatMap((chunk) => [...filesOf(chunk, bundle)]),
  );
  return Object.entries(SCREENS).map(([screen, modules]) => {
    const roots = chunks.filter(({ moduleIds }) =>
      modules.some((module) => moduleIds.some((id) => id.endsWith(`/${module}`))),
    );
    if (roots.length === 0) throw new Error(`The chunks of ${screen} are not in the build.`);
    const files = new Set(roots.flatMap((chunk) => [...filesOf(chunk, bundle)]));
    return [screen, [...files].filter((file) => !entry.has(file))];
  });
}

/**
 * The styles themselves in the place of the link to them, those of the screens too. The links stay, disabled, so that they
 * are not followed: Vite would load the files again, and put them after the styles of the screen.
 */
function withStyles(html, bundle, files) {
  const inPage = (file) => {
    const folder = file.slice(0, file.lastIndexOf("/"));
    const styles = String(bundle[file].source).trim().replaceAll("url(./", `url(./${folder}/`);
    return `<style>${styles}</style>\n    <link rel="stylesheet" href="./${file}" disabled>`;
  };
  const more = files.filter((file) => file.endsWith(".css")).map(inPage);
  return html.replace(/<link rel="stylesheet" crossorigin href="\.\/([^"]+)">/, (_, file) =>
    [inPage(file), ...more].join("\n    "),
  );
}

/** The scripts of the entry before boot.js: browsers with six connections ask for them first, and for the data after. */
function withScriptsFirst(html) {
  const scripts =
    html.match(/ *<(?:script type="module"|link rel="modulepreload")[^>]*>(?:<\/script>)?\n/g) ?? [];
  return scripts
    .reduce((page, tag) => page.replace(tag, ""), html)
    .replace(/ *<script data-boot>/, (boot) => `${scripts.join("")}${boot}`);
}

export const firstScreen = {
  name: "first-screen",
  transformIndexHtml: {
    order: "post",
    handler(html, { bundle }) {
      const withBoot = (page, attribute) =>
        page.replace("<script data-boot></script>", () => `<script${attribute}>${read("boot.js")}</script>`);
      if (!bundle) return withBoot(html, "");
      const screens = filesOfScreens(bundle);
      const scripts = screens.map(([screen, files]) => [
        screen,
        files.filter((file) => file.endsWith(".js")),
      ]);
      const first = JSON.stringify({ screens: Object.fromEntries(scripts), requests: REQUESTS });
      const all = screens.flatMap(([, files]) => files);
      const page = withStyles(withScriptsFirst(html), bundle, all);
      return withBoot(page, ` data-first="${first.replaceAll('"', "&quot;")}"`);
    },
  },
};
