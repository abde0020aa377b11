/** The look of the console for Mantine; tokens.css has the colours of surfaces and states. */
import {
  type ActionIcon,
  type Alert,
  type Button,
  createTheme,
  type CSSVariablesResolver,
  type Modal,
  type Notification,
  type Paper,
  type PasswordInput,
  type TextInput,
  type Tooltip,
} from "@mantine/core";

/** What a component's `extend` takes; calling it would load every component that is named here with the first screen. */
type Look<Component extends { extend: (look: never) => unknown }> = Parameters<Component["extend"]>[0];

export const theme = createTheme({
  primaryColor: "petrol",
  primaryShade: { light: 7, dark: 6 },
  black: "#1d2426",
  respectReducedMotion: true,
  cursorType: "pointer",
  defaultRadius: "md",
  fontFamily: "'Figtree Variable', system-ui, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "650",
    sizes: {
      h1: { fontSize: "1.625rem", lineHeight: "1.2" },
      h2: { fontSize: "1.1875rem", lineHeight: "1.3" },
      h3: { fontSize: "1rem", lineHeight: "1.4" },
    },
  },
  radius: { xs: "4px", sm: "7px", md: "10px", lg: "16px", xl: "28px" },
  colors: {
    petrol: [
      "#e9f5f5",
      "#d2e8ea",
      "#a5d2d6",
      "#7cc3ca",
      "#4fa5ad",
      "#318f98",
      "#1d7984",
      "#0f6670",
      "#0b525a",
      "#083d44",
    ],
    copper: [
      "#fdf2e7",
      "#fae3cc",
      "#f5c696",
      "#f0a35e",
      "#e08a3e",
      "#c9722a",
      "#a95b1c",
      "#8a4813",
      "#6b370d",
      "#4d2708",
    ],
    gray: [
      "#faf9f6",
      "#f3f1ec",
      "#e8e5de",
      "#d9d5cc",
      "#bdb8ad",
      "#918c80",
      "#666259",
      "#4d4a43",
      "#34322d",
      "#1d1c19",
    ],
    dark: [
      "#e7e5df",
      "#c6c7c3",
      "#a4aaaa",
      "#7d8586",
      "#3b4447",
      "#2d3538",
      "#222a2c",
      "#14181a",
      "#101416",
      "#0b0e0f",
    ],
    red: [
      "#fdecea",
      "#fbdcd8",
      "#f5b9b1",
      "#f59b8e",
      "#e2705f",
      "#cf4a38",
      "#b93525",
      "#a3271b",
      "#821d13",
      "#61140c",
    ],
  },
  components: {
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray", size: "lg" } } satisfies Look<
      typeof ActionIcon
    >,
    Alert: { defaultProps: { radius: "md" } } satisfies Look<typeof Alert>,
    Button: { styles: { root: { fontWeight: 600 } } } satisfies Look<typeof Button>,
    Modal: {
      defaultProps: {
        centered: true,
        radius: "lg",
        padding: "lg",
        closeButtonProps: { "aria-label": "Close" },
      },
    } satisfies Look<typeof Modal>,
    Notification: { defaultProps: { closeButtonProps: { "aria-label": "Hide" } } } satisfies Look<
      typeof Notification
    >,
    Paper: { defaultProps: { withBorder: true, radius: "lg", p: "lg" } } satisfies Look<typeof Paper>,
    PasswordInput: { defaultProps: { size: "md", withAsterisk: false } } satisfies Look<typeof PasswordInput>,
    TextInput: { defaultProps: { size: "md", withAsterisk: false } } satisfies Look<typeof TextInput>,
    Tooltip: { defaultProps: { openDelay: 300 } } satisfies Look<typeof Tooltip>,
  },
});

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-body": "var(--af-page)",
    "--mantine-color-default-border": "var(--mantine-color-gray-3)",
    "--mantine-color-placeholder": "var(--mantine-color-gray-6)",
    "--mantine-color-error": "var(--mantine-color-red-7)",
  },
  dark: {
    "--mantine-color-body": "var(--af-page)",
    "--mantine-color-default": "#1d2426",
    "--mantine-color-default-border": "var(--mantine-color-dark-4)",
    "--mantine-color-placeholder": "var(--mantine-color-dark-2)",
    "--mantine-color-error": "var(--mantine-color-red-3)",
  },
});
