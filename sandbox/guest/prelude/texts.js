// Texts: addresses, CSV and XML.
'use strict';
{
  const { kind } = prelude;
  const text = (value, name) => {
    if (typeof value !== 'string') throw new TypeError(`${name} takes a text, not ${kind(value)}`);
    return value;
  };
  // Letters that NFKD does not decompose.
  const LETTERS = { ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', đ: 'd', ð: 'd', þ: 'th', ł: 'l', ı: 'i' };

  function* cells(source, separator) {
    let cell = '', row = [], quoted = false, wasQuoted = false;
    for (let at = 0; at <= source.length; at++) {
      const sign = source[at];
      if (quoted) {
        if (sign === undefined) throw new SyntaxError('A quoted field of this CSV is not closed; add the missing quote');
        if (sign !== '"') cell += sign;
        else if (source[at + 1] === '"') cell += source[at++];
        else quoted = false;
      } else if (sign === '"' && !cell && !wasQuoted) quoted = wasQuoted = true;
      else if (sign === separator || sign === '\n' || sign === undefined) {
        row.push(cell.endsWith('\r') && sign !== separator ? cell.slice(0, -1) : cell);
        if (sign !== separator && (row.length > 1 || row[0] || wasQuoted)) yield row;
        if (sign !== separator) row = [];
        cell = '';
        wasQuoted = false;
      } else cell += sign;
    }
  }

  const ENTITIES = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
  const unescaped = (value) => value.replace(/&(#x?)?(\w+);/g, (whole, code, name) => {
    if (code) return String.fromCodePoint(parseInt(name, code === '#x' ? 16 : 10));
    return ENTITIES[name] ?? whole;
  });
  const escaped = (value) => String(value).replace(/[<>&"]/g, (sign) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' })[sign]);

  const add = (object, name, value) => {
    if (!Object.hasOwn(object, name)) {
      Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
    } else if (Array.isArray(object[name])) object[name].push(value);
    else object[name] = [object[name], value];
  };
  // An element without attributes and children becomes its text, an empty one an empty text.
  const finished = ({ object, said }) => {
    const trimmed = said.trim();
    if (!Object.keys(object).length) return trimmed;
    if (trimmed) object['#text'] = trimmed;
    return object;
  };
  const TAG = /<!--[^]*?-->|<\?[^]*?\?>|<!\[CDATA\[([^]*?)\]\]>|<!DOCTYPE[^>[]*(?:\[[^\]]*\])?\s*>|<(\/?)([^\s\/>]+)((?:\s+[^\s=\/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>/y;

  function parseXml(source) {
    const open = [{ name: '', object: {}, said: '' }];
    for (let at = 0; at < text(source, 'parseXml').length; ) {
      const top = open.at(-1), next = source.indexOf('<', at), end = next < 0 ? source.length : next;
      top.said += unescaped(source.slice(at, end));
      if (next < 0) break;
      TAG.lastIndex = next;
      const found = TAG.exec(source);
      if (!found) throw new SyntaxError(`This XML cannot be read at character ${next + 1}`);
      at = TAG.lastIndex;
      const [, data, closing, name, attributes, alone] = found;
      if (data !== undefined) top.said += data;
      else if (closing) {
        if (open.length === 1 || top.name !== name) throw new SyntaxError(`\`</${name}>\` closes no open element`);
        open.pop();
        add(open.at(-1).object, name, finished(top));
      } else if (name) {
        const element = { name, object: {}, said: '' };
        for (const [, key, double, single] of attributes.matchAll(/([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)) {
          add(element.object, '@' + key, unescaped(double ?? single));
        }
        if (alone) add(top.object, name, finished(element));
        else open.push(element);
        if (open.length > 100) throw new RangeError('The XML is nested more than 100 levels deep');
      }
    }
    if (open.length > 1) throw new SyntaxError(`\`<${open.at(-1).name}>\` is not closed`);
    return open[0].object;
  }

  const element = (name, value) => {
    if (Array.isArray(value)) return value.map((item) => element(name, item)).join('');
    if (typeof value !== 'object' || value === null) return `<${name}>${escaped(value ?? '')}</${name}>`;
    const entries = Object.entries(value);
    const attributes = entries.filter(([key]) => key.startsWith('@')).map(([key, said]) => ` ${key.slice(1)}="${escaped(said)}"`);
    const inside = entries.filter(([key]) => !key.startsWith('@')).map(([key, said]) => (key === '#text' ? escaped(said) : element(key, said)));
    return `<${name}${attributes.join('')}>${inside.join('')}</${name}>`;
  };

  const quoted = (value) => {
    const said = value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
    return /[",;\n\r]/.test(said) ? `"${said.replaceAll('"', '""')}"` : said;
  };

  prelude.add({
    urlEncode(value) {
      if (value === null || typeof value === 'object' || value === undefined) throw new TypeError(`urlEncode takes a text, not ${kind(value)}`);
      return encodeURIComponent(String(value).toWellFormed()).replace(/[!'()*]/g, (sign) => '%' + sign.charCodeAt(0).toString(16).toUpperCase());
    },
    queryString(values) {
      const pairs = Object.entries(values).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
      return pairs.filter(([, value]) => value !== null && value !== undefined).map((pair) => pair.map(urlEncode).join('=')).join('&');
    },
    slug(value) {
      const letters = text(value, 'slug').toLowerCase().replace(/[ßæœøđðþłı]/g, (letter) => LETTERS[letter]);
      return letters.normalize('NFKD').replace(/\p{M}/gu, '').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '');
    },
    parseCsv(value, { separator = ',', header = true } = {}) {
      if (typeof separator !== 'string' || separator.length !== 1) throw new TypeError('The separator of parseCsv must be one character');
      const rows = [...cells(text(value, 'parseCsv').replace(/^\ufeff/, ''), separator)];
      if (!header) return rows;
      const names = (rows.shift() ?? []).map((name) => name.trim());
      return rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? ''])));
    },
    toCsv(rows, columns) {
      if (!Array.isArray(rows)) throw new TypeError(`toCsv takes a list, not ${kind(rows)}`);
      const names = columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
      return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(quoted).join(',') + '\n').join('');
    },
    parseXml,
    toXml(value) {
      return Object.entries(value).map(([name, inside]) => element(name, inside)).join('');
    },
  });
}
