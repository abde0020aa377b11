import { useMediaQuery } from "@mantine/hooks";

const DESK = "(min-width: 48em)";

/** Whether the window is as wide as on a desk. */
export function useIsDesk(): boolean {
  return useMediaQuery(DESK, window.matchMedia(DESK).matches, { getInitialValueInEffect: false });
}
