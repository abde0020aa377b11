import "@fontsource-variable/figtree/wght.css";
import "@mantine/core/styles/baseline.layer.css";
import "@mantine/core/styles/global.layer.css";
import "./app/tokens.css";

import { createRoot } from "react-dom/client";

import { Providers } from "./app/Providers";

const root = document.getElementById("root");
if (!root) throw new Error("The page has no #root.");
createRoot(root).render(<Providers />);

if (import.meta.env.PROD && "serviceWorker" in navigator) {
  window.addEventListener("load", () => {
    // Without it the console works as well, but has no page that says that there is no connection.
    navigator.serviceWorker.register("sw.js").catch(() => undefined);
  });
}
