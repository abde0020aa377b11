// Runs before anything else: it stands in index.html itself, so it costs no request. The content security policy allows
// it by its digest (api/http/console.py), so it changes with a release only; what changes with a build is in `data-first`.
(() => {
  // The colour scheme before the first paint; the provider takes it over once it runs.
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("mantine-color-scheme-value") ?? "auto";
  } catch {
    // Storage may be blocked; then the system's scheme holds.
  }
  const dark =
    chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.mantineColorScheme = dark ? "dark" : "light";

  // What the first screen needs, asked for while the scripts are still on their way: its own scripts and its data. This
  // only guesses: what is asked for in vain costs little, and the screen asks itself.
  const { first } = document.currentScript.dataset;
  if (!first) return;
  const { screens, requests } = JSON.parse(first);
  const path = document.location.pathname.slice(new URL(document.baseURI).pathname.length);
  const isSignedIn = /(?:^|; )agentforge_csrf=/.test(document.cookie);
  const screen = isSignedIn ? (path === "" ? "home" : "other") : "sign-in";
  const ask = (attributes) => document.head.append(Object.assign(document.createElement("link"), attributes));
  for (const href of screens[screen] ?? []) ask({ rel: "modulepreload", href });
  const timezone = encodeURIComponent(new Intl.DateTimeFormat().resolvedOptions().timeZone);
  for (const request of requests[screen] ?? []) {
    const href = `../api${request.replace("{timezone}", timezone)}`;
    ask({ rel: "preload", as: "fetch", crossOrigin: "anonymous", href });
  }
})();
