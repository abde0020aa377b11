/**
 * A plugin of Vite that adds the styles of a component of Mantine to the chunk that has the component, so that a screen
 * loads those of its own components, and not all of them.
 */
const CLASSES = /\/@mantine\/(core|notifications)\/esm\/(?:.*\/)?([A-Za-z]+)\.module\.mjs$/;

export const mantineStyles = {
  name: "mantine-styles",
  transform(code, id) {
    const found = CLASSES.exec(id);
    if (!found) return null;
    const [, library, component] = found;
    const file = library === "core" ? `styles/${component}.layer.css` : "styles.layer.css";
    return { code: `import "@mantine/${library}/${file}";\n${code}`, map: null };
  },
};
