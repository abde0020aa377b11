/** Shows the whole graph again when the window gets another shape: a phone is turned, a window is resized. */
import { useReactFlow } from "@xyflow/react";
import { useEffect } from "react";

export const FIT = { padding: 0.15, maxZoom: 1.1 };
const SETTLED_MS = 150;

interface Size {
  width: number;
  height: number;
}

/**
 * Whether the window has another shape. The keyboard of a phone takes a part of the height only, and must not take away
 * what a person has moved into view.
 */
export function isReshaped(before: Size, after: Size, hasKeyboardOnScreen: boolean): boolean {
  if (before.width !== after.width) return true;
  return before.height !== after.height && !hasKeyboardOnScreen;
}

const sizeNow = (): Size => ({ width: window.innerWidth, height: window.innerHeight });

/** For a component inside of the graph's provider. */
export function useRefit(): void {
  const { fitView } = useReactFlow();
  useEffect(() => {
    let shown = sizeNow();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refit = () => {
      const now = sizeNow();
      const reshaped = isReshaped(shown, now, matchMedia("(pointer: coarse)").matches);
      shown = now;
      if (reshaped) void fitView(FIT);
    };
    const onResize = () => {
      clearTimeout(timer);
      timer = setTimeout(refit, SETTLED_MS);
    };
    window.addEventListener("resize", onResize);
    return () => {
      clearTimeout(timer);
      window.removeEventListener("resize", onResize);
    };
  }, [fitView]);
}
