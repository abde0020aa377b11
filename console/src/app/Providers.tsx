import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";

import { queryClient } from "@/api/query-client";

import { later } from "./later";
import { router } from "./router";
import { cssVariables, theme } from "./theme";

const Notifications = later(async () => (await import("@mantine/notifications")).Notifications);
const colorSchemes = localStorageColorSchemeManager();

export function Providers() {
  return (
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={cssVariables}
        deduplicateCssVariables={false} // the provider writes them all, so the first load has no file of the defaults
        defaultColorScheme="auto"
        colorSchemeManager={colorSchemes}
      >
        <Notifications position="bottom-center" />
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>
  );
}
