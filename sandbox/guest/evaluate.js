// Evaluates one expression or function body. The value of this script is the function that the host calls with
// `{mode, seed, names, items, first, accumulator}` as JSON, a NUL, and the source. It returns `v` and the value as JSON,
// `u` if the value is undefined, or `e` and `{message, missing, line, column, index}` as JSON.
(() => {
  'use strict';
  const global = globalThis;
  const compile = global.eval; // called by another name, eval sees only globals
  const { parse, stringify } = JSON;
  const { getPrototypeOf, defineProperty, getOwnPropertyNames } = Object;
  const { isArray } = Array;
  const { isFinite } = Number;
  const plain = Object.prototype;
  const describe = Object.prototype.toString;
  const timeOf = Date.prototype.getTime;
  const MAX_DEPTH = 100;

  // Deletes all globals that compile text, wait, reveal the machine, or are useless for computing values.
  const ours = new Set(knownNames.prelude);
  const kept = new Set([...knownNames.language, ...knownNames.prelude]);
  if (prelude.names.toSorted().join() !== knownNames.prelude.toSorted().join()) throw new Error(`names.json lists other names than ${prelude.names}`);
  for (const name of getOwnPropertyNames(global)) if (!kept.has(name)) delete global[name];
  for (const made of [function () {}, async function () {}, function* () {}, async function* () {}]) {
    delete getPrototypeOf(made).constructor;
  }

  // Math.random is mulberry32, with a seed that depends on the run and the node.
  let state = 0;
  Math.random = function random() {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };

  class NoJson extends TypeError {}

  // Refuses values that JSON.stringify would drop or change.
  function keep(key, value) {
    if (typeof value === 'object') {
      if (value === null ? this[key] instanceof Date : !isArray(value) && !isPlain(value)) throw REFUSED;
    } else if (typeof value === 'number' ? !isFinite(value) : typeof value === 'function' || typeof value === 'symbol') throw REFUSED;
    return value;
  }

  const REFUSED = new Error('refused');
  const isPlain = (value) => {
    const prototype = getPrototypeOf(value);
    return prototype === plain || prototype === null;
  };

  // The path and the reason why `value` is no JSON, or null. It is slow, so it is called only after a failure.
  function reason(value, above) {
    switch (typeof value) {
      case 'string': case 'boolean': case 'undefined': return null;
      case 'number': return isFinite(value) ? null : ['', `${value} is not a finite number`];
      case 'bigint': return ['', 'JSON has no BigInt; use Number(x) or String(x)'];
      case 'symbol': case 'function': return ['', `JSON has no ${typeof value}`];
    }
    if (value === null) return null;
    if (above.length >= MAX_DEPTH) return ['', `it is nested more than ${MAX_DEPTH} levels deep`];
    if (above.includes(value)) return ['', 'it contains itself'];
    if (!isArray(value) && !isPlain(value)) return ofClass(value);
    for (const key of Object.keys(value)) {
      const found = reason(value[key], [...above, value]);
      if (found) return [(isArray(value) ? `[${key}]` : `.${key}`) + found[0], found[1]];
    }
    return null;
  }

  function ofClass(value) {
    let kind = describe.call(value).slice(8, -1);
    try {
      return isFinite(timeOf.call(value)) ? null : ['', 'the date is not valid'];
    } catch { /* not a date */ }
    if (kind === 'Object') kind = 'object of a class';
    return ['', `JSON has no ${kind}; convert it to a plain object or a list`];
  }

  function json(value) {
    try {
      return stringify(value, keep);
    } catch (error) {
      const found = reason(value, []);
      if (!found) throw error;
      throw new NoJson(`The result${found[0]} cannot be stored: ${found[1]}.`);
    }
  }

  function freeze(value) {
    if (typeof value !== 'object' || value === null) return;
    Object.freeze(value);
    for (const key in value) freeze(value[key]);
  }

  let index = null; // of the current item

  function each(work, items, first) {
    const results = [];
    for (let at = 0; at < items.length; at++) {
      index = first + at;
      const value = work(items[at], index);
      if (value === undefined) throw new NoJson('The result is undefined.');
      results.push(value);
    }
    index = null;
    return results;
  }

  function reduce(work, items, first, accumulator) {
    for (let at = 0; at < items.length; at++) {
      index = first + at;
      accumulator = work(items[at], index, accumulator);
      if (accumulator === undefined) throw new NoJson('The result is undefined.');
    }
    index = null;
    return accumulator;
  }

  function evaluate(asked, source) {
    const { names, mode } = asked;
    for (const name in names) global[name] = names[name];
    state = asked.seed | 0;
    if (mode === 'value') return compile(`'use strict';(() => (\n${source}\n))`)();
    if (mode === 'body') return compile(`'use strict';(() => {\n${source}\n})`)();
    for (const name in names) freeze(names[name]); // so that no item changes what the next one reads
    const work = compile(`'use strict';((item, index, accumulator) => (\n${source}\n))`);
    return mode === 'each' ? each(work, asked.items, asked.first) : reduce(work, asked.items, asked.first, asked.accumulator);
  }

  // The messages of QuickJS in words for people who write workflows.
  const PLAIN = [
    [/^cannot read property '(.*)' of (null|undefined)$/, 'Cannot read `$1` of $2; check the value before it, or write `?.$1`.'],
    [/^cannot set property '(.*)' of (null|undefined)$/, 'Cannot set `$1` of $2; check the value before it.'],
    [/^not a function$/, 'This is not a function; check the spelling of its name and the type of the value before it.'],
    [/^(\S+) is not defined$/, 'There is no `$1`.'],
    [/^(?:.* is )?not iterable$|^object is not iterable$/, 'This value is not a list, so it cannot be iterated; use a list, or write `?? []` after a value that may be missing.'],
    [/^circular reference$/, 'The result contains itself; return values without circular references.'],
    [/^(?:Maximum call stack size exceeded|stack overflow)$/, 'A function calls itself too often, or the values are nested too deeply; limit the recursion.'],
    [/^out of memory$/, 'The expression needs too much memory; process fewer or smaller values.'],
    [/^(?:object is not extensible|.*read-only.*)$/, 'All items share this value, so it cannot be changed; make a copy, as in [...data].'],
  ];

  function plainly(message) {
    for (const [pattern, plain] of PLAIN) if (pattern.test(message)) return message.replace(pattern, plain);
    const word = message.split(' ', 1)[0];
    if (ours.has(word)) message = `\`${word}\`${message.slice(word.length)}`;
    return message ? message[0].toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? '' : '.') : 'The expression threw an error without a message.';
  }

  function failure(error) {
    const told = { message: '', index };
    try {
      if (error instanceof Error) {
        const place = /<(?:eval|input)>:(\d+):(\d+)/.exec(String(error.stack)), said = String(error.message).slice(0, 500);
        told.message = plainly(said);
        told.missing = /^cannot read property/.test(said);
        if (place && !(error instanceof NoJson)) Object.assign(told, { line: place[1] - 1, column: +place[2] });
      } else told.message = `The expression threw ${typeof error === 'object' ? stringify(error) : String(error)}.`.slice(0, 500);
    } catch { told.message = 'The expression threw a value that cannot be shown.'; }
    return 'e' + stringify(told);
  }

  return function run(request) {
    try {
      const end = request.indexOf('\0');
      const value = evaluate(parse(request.slice(0, end)), request.slice(end + 1));
      return value === undefined ? 'u' : 'v' + json(value);
    } catch (error) {
      return failure(error);
    }
  };
})();
