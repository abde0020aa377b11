// Asks for what the first screen needs while the scripts are still on their way: its own files and its data. The build
// writes both into `data-first`. It only guesses: what is asked for in vain costs little, and the screen asks itself.
(() => {
  const { first } = document.currentScript.dataset;
  if (!first) return;
  const { screens, requests } = JSON.parse(first);
  const path = document.location.pathname.slice(new URL(document.baseURI).pathname.length);
  const isSignedIn = /(?:^|; )agentforge_csrf=/.test(document.cookie);
  const screen = path === "" && isSignedIn ? "home" : path === "sign-in" || !isSignedIn ? "sign-in" : null;
  const ask = (attributes) => document.head.append(Object.assign(document.createElement("link"), attributes));
  for (const href of screens[screen] ?? []) {
    if (href.endsWith(".js")) ask({ rel: "modulepreload", href });
    else ask({ rel: "preload", as: "style", href });
  }
  if (screen !== "home") return;
  const timezone = encodeURIComponent(new Intl.DateTimeFormat().resolvedOptions().timeZone);
  for (const request of requests) {
    const href = `../api${request.replace("{timezone}", timezone)}`;
    ask({ rel: "preload", as: "fetch", crossOrigin: "anonymous", href });
  }
})();
