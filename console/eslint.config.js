import js from "@eslint/js";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const FEATURES = [
  "auth",
  "home",
  "workflows",
  "builder",
  "runs",
  "templates",
  "credits",
  "subscription",
  "keys",
  "settings",
  "admin",
];

export default tseslint.config(
  { ignores: ["dist", "build", "node_modules", "src/api/schema.d.ts"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [
      ...tseslint.configs.strictTypeChecked,
      ...tseslint.configs.stylisticTypeChecked,
      reactHooks.configs.flat.recommended,
      jsxA11y.flatConfigs.strict,
    ],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "max-lines": ["error", 300],
      "no-restricted-syntax": [
        "error",
        {
          selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
          message: "Texts of users are never HTML.",
        },
        {
          selector: "AssignmentExpression > MemberExpression[property.name=/^(inner|outer)HTML$/]",
          message: "No HTML from texts.",
        },
      ],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      "@typescript-eslint/only-throw-error": "off", // the router's redirect() and notFound() are thrown
    },
  },
  {
    files: ["**/*.mjs", "*.js"],
    languageOptions: { globals: { console: "readonly", process: "readonly", URL: "readonly" } },
  },
  {
    files: ["public/*.js", "src/boot.js"],
    languageOptions: {
      globals: {
        self: "readonly",
        caches: "readonly",
        fetch: "readonly",
        document: "readonly",
        localStorage: "readonly",
        matchMedia: "readonly",
        URL: "readonly",
        Response: "readonly",
      },
    },
  },
  { files: ["e2e/**/*.ts"], rules: { "no-empty-pattern": "off" } }, // Playwright wants fixtures destructured
  // A feature knows the shared folders and itself; what two features need moves to src/ui or src/api.
  ...FEATURES.map((name) => ({
    files: [`src/features/${name}/**/*.{ts,tsx}`],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: FEATURES.filter((other) => other !== name).map((other) => ({
            group: [`@/features/${other}`, `@/features/${other}/*`],
            message: "Features don't import each other.",
          })),
        },
      ],
    },
  })),
);
