// Lists and objects.
'use strict';
{
  const { kind } = prelude;
  const keyOf = (by) => (typeof by === 'function' ? by : (item) => item?.[by]);
  const list = (value, name) => {
    if (!Array.isArray(value)) throw new TypeError(`${name} takes a list, not ${kind(value)}`);
    return value;
  };
  const number = (value, name) => {
    if (typeof value !== 'number' || Number.isNaN(value)) {
      throw new TypeError(`${name} takes numbers, not ${kind(value)}; Number(x) makes one of a text`);
    }
    return value;
  };
  const isPlain = (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

  prelude.add({
    groupBy(items, by) {
      const groups = Object.create(null), key = keyOf(by);
      list(items, 'groupBy').forEach((item, index) => (groups[key(item, index)] ??= []).push(item));
      return { ...groups };
    },
    countBy(items, by) {
      const counts = Object.create(null), key = keyOf(by);
      list(items, 'countBy').forEach((item, index) => {
        const name = key(item, index);
        counts[name] = (counts[name] ?? 0) + 1;
      });
      return { ...counts };
    },
    keyBy(items, by) {
      const key = keyOf(by);
      return Object.fromEntries(list(items, 'keyBy').map((item, index) => [key(item, index), item]));
    },
    uniqueBy(items, by = (item) => item) {
      const seen = new Set(), key = keyOf(by);
      return list(items, 'uniqueBy').filter((item, index) => {
        const value = key(item, index), name = typeof value === 'object' ? JSON.stringify(value) : value;
        return seen.has(name) ? false : seen.add(name);
      });
    },
    sortBy(items, by = (item) => item, order = 'asc') {
      const key = keyOf(by), sign = order === 'desc' ? -1 : 1;
      const keyed = list(items, 'sortBy').map((item, index) => [key(item, index), item]);
      return keyed.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0)).map(([, item]) => item);
    },
    sum(items, by = (item) => item) {
      const key = keyOf(by);
      return list(items, 'sum').reduce((total, item, index) => total + number(key(item, index), 'sum'), 0);
    },
    average(items, by = (item) => item) {
      if (!list(items, 'average').length) throw new RangeError('average needs at least one item');
      return sum(items, by) / items.length;
    },
    range(from, to, step = 1) {
      if (to === undefined) [from, to] = [0, from];
      [from, to, step].forEach((value) => number(value, 'range'));
      if (!step) throw new RangeError('range needs a step that is not 0');
      const length = Math.max(0, Math.ceil((to - from) / step));
      if (length > 1e6) throw new RangeError('range makes at most 1,000,000 numbers');
      return Array.from({ length }, (_, index) => from + index * step);
    },
    chunk(items, size) {
      if (!Number.isInteger(size) || size < 1) throw new RangeError('chunk needs a whole number of at least 1');
      const chunks = [];
      for (let at = 0; at < list(items, 'chunk').length; at += size) chunks.push(items.slice(at, at + size));
      return chunks;
    },
    pick(object, ...names) {
      return Object.fromEntries(names.flat().filter((name) => Object.hasOwn(object, name)).map((name) => [name, object[name]]));
    },
    omit(object, ...names) {
      const left = new Set(names.flat());
      return Object.fromEntries(Object.entries(object).filter(([name]) => !left.has(name)));
    },
    merge(...objects) {
      const made = {};
      for (const object of objects) {
        for (const [name, value] of Object.entries(object ?? {})) {
          const before = Object.hasOwn(made, name) ? made[name] : undefined;
          const both = isPlain(before) && isPlain(value) ? merge(before, value) : value;
          Object.defineProperty(made, name, { value: both, enumerable: true, configurable: true, writable: true });
        }
      }
      return made;
    },
  });
}
