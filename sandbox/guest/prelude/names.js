// Registers the functions of the prelude. `evaluate.js` deletes all other globals, also `prelude` itself.
'use strict';
globalThis.prelude = {
  names: [],
  add(functions) {
    for (const [name, value] of Object.entries(functions)) {
      Object.defineProperty(globalThis, name, { value, enumerable: false, configurable: true, writable: true });
      prelude.names.push(name);
    }
  },
  kind(value) {
    if (value === null || value === undefined) return String(value);
    if (Array.isArray(value)) return 'a list';
    return { string: 'a text', number: 'a number', boolean: 'true or false', object: 'an object' }[typeof value] ?? `a ${typeof value}`;
  },
};
