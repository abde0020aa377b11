/** Parts of the frame that the first screen can do without. */
import { type ComponentType, useEffect, useState } from "react";

/** Resolves when the page has loaded and has nothing to do. */
const idle = new Promise<void>((resolve) => {
  const wait = () => ("requestIdleCallback" in window ? requestIdleCallback(() => resolve()) : resolve());
  if (document.readyState === "complete") wait();
  else window.addEventListener("load", wait, { once: true });
});

/** A component that loads once the page is idle; nothing is in its place before, and if it cannot be loaded. */
export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;
  return function Later(props: Props) {
    const [Component, setComponent] = useState(() => loaded);
    useEffect(() => {
      let isShown = true;
      const show = async () => {
        await idle;
        loaded ??= await load();
        if (isShown) setComponent(() => loaded);
      };
      // Without a connection the frame stays as it is; the screen says so.
      show().catch(() => undefined);
      return () => {
        isShown = false;
      };
    }, []);
    return Component ? <Component {...props} /> : null;
  };
}
