// Texts as bytes: base64, hexadecimal, hashes and signatures. Sources: RFC 4648, FIPS 180-4, RFC 2104.
'use strict';
{
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const VALUES = new Map([...ALPHABET, '-', '_'].map((sign, index) => [sign, index < 64 ? index : index - 2]));

  const utf8 = (value, name) => {
    if (value instanceof Uint8Array) return value;
    if (typeof value !== 'string') throw new TypeError(`${name} takes a text, not ${kind(value)}; String(x) makes one`);
    const bytes = [];
    for (const sign of value) {
      const code = sign.codePointAt(0);
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return Uint8Array.from(bytes);
  };
  const { kind } = prelude;
  const text = (bytes) => {
    let escaped = '';
    for (const byte of bytes) escaped += '%' + byte.toString(16).padStart(2, '0');
    try {
      return decodeURIComponent(escaped);
    } catch {
      throw new TypeError('The bytes are not valid UTF-8 text');
    }
  };
  const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const toBase64 = (bytes) => {
    let made = '';
    for (let at = 0; at < bytes.length; at += 3) {
      const word = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
      for (let sign = 0; sign < 4; sign++) made += at + sign > bytes.length ? '=' : ALPHABET[(word >> (18 - 6 * sign)) & 63];
    }
    return made;
  };
  const toBase64Url = (bytes) => toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  const fromBase64 = (value) => {
    const signs = String(value).replace(/\s|=+\s*$/g, ''), bytes = [];
    let word = 0, bits = 0;
    for (const sign of signs) {
      if (!VALUES.has(sign)) throw new TypeError(`The text is not base64: it contains \`${sign}\``);
      word = (word << 6) | VALUES.get(sign);
      bits += 6;
      if (bits >= 8) bytes.push((word >> (bits -= 8)) & 255);
    }
    return Uint8Array.from(bytes);
  };
  const encoded = (bytes, encoding) => {
    const encoders = { hex: toHex, base64: toBase64, base64url: toBase64Url, bytes: (made) => made };
    if (!Object.hasOwn(encoders, encoding)) throw new TypeError(`The encoding must be hex, base64, base64url or bytes, not ${encoding}`);
    return encoders[encoding](bytes);
  };

  // The message padded to blocks of 64 bytes, as 32-bit words, with an end mark and its length.
  const padded = (bytes) => {
    const words = new Uint32Array((((bytes.length + 8) >> 6) + 1) * 16);
    bytes.forEach((byte, at) => (words[at >> 2] |= byte << (24 - 8 * (at & 3))));
    words[bytes.length >> 2] |= 0x80 << (24 - 8 * (bytes.length & 3));
    words[words.length - 2] = bytes.length / 0x20000000;
    words[words.length - 1] = bytes.length << 3;
    return words;
  };
  const asBytes = (words) => Uint8Array.from(words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]));

  const primes = [];
  for (let candidate = 2; primes.length < 64; candidate++) if (primes.every((prime) => candidate % prime)) primes.push(candidate);
  const fraction = (value) => ((value % 1) * 0x100000000) | 0;
  const CONSTANTS = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
  const FIRST = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

  const sha256Of = (bytes) => {
    const words = padded(bytes), schedule = new Int32Array(64);
    let [h0, h1, h2, h3, h4, h5, h6, h7] = FIRST;
    for (let start = 0; start < words.length; start += 16) {
      let a = h0, b = h1, c = h2, d = h3, e = h4, f = h5, g = h6, h = h7;
      for (let at = 0; at < 64; at++) {
        let word;
        if (at < 16) word = words[start + at] | 0;
        else {
          const x = schedule[at - 15], y = schedule[at - 2];
          word = schedule[at - 16] + schedule[at - 7]
            + (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3))
            + (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10));
        }
        schedule[at] = word;
        const first = (h + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7)))
          + ((e & f) ^ (~e & g)) + CONSTANTS[at] + schedule[at]) | 0;
        const second = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10)))
          + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + first) | 0; d = c; c = b; b = a; a = (first + second) | 0;
      }
      h0 = (h0 + a) | 0; h1 = (h1 + b) | 0; h2 = (h2 + c) | 0; h3 = (h3 + d) | 0;
      h4 = (h4 + e) | 0; h5 = (h5 + f) | 0; h6 = (h6 + g) | 0; h7 = (h7 + h) | 0;
    }
    return asBytes([h0, h1, h2, h3, h4, h5, h6, h7]);
  };
  const sha1Of = (bytes) => {
    const words = padded(bytes), schedule = new Int32Array(80), turn = (word, by) => (word << by) | (word >>> (32 - by));
    let state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0].map((word) => word | 0);
    for (let start = 0; start < words.length; start += 16) {
      let [a, b, c, d, e] = state;
      for (let at = 0; at < 80; at++) {
        schedule[at] = at < 16 ? words[start + at] : turn(schedule[at - 3] ^ schedule[at - 8] ^ schedule[at - 14] ^ schedule[at - 16], 1);
        const mixed = at < 20 ? ((b & c) | (~b & d)) + 0x5a827999 : at < 40 ? (b ^ c ^ d) + 0x6ed9eba1
          : at < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
        const next = (turn(a, 5) + mixed + e + schedule[at]) | 0;
        e = d; d = c; c = turn(b, 30); b = a; a = next;
      }
      state = state.map((word, at) => (word + [a, b, c, d, e][at]) | 0);
    }
    return asBytes(state);
  };
  const HASHES = { sha256: sha256Of, sha1: sha1Of };

  prelude.add({
    base64: (value) => toBase64(utf8(value, 'base64')),
    base64Url: (value) => toBase64Url(utf8(value, 'base64Url')),
    fromBase64: (value) => text(fromBase64(value)),
    hex: (value) => toHex(utf8(value, 'hex')),
    sha256: (value, encoding = 'hex') => encoded(sha256Of(utf8(value, 'sha256')), encoding),
    sha1: (value, encoding = 'hex') => encoded(sha1Of(utf8(value, 'sha1')), encoding),
    hmac(key, value, encoding = 'hex', hash = 'sha256') {
      if (!Object.hasOwn(HASHES, hash)) throw new TypeError(`hmac knows sha256 and sha1, not ${hash}`);
      const digest = HASHES[hash];
      let secret = utf8(key, 'hmac');
      if (secret.length > 64) secret = digest(secret);
      const block = (mask) => Array.from({ length: 64 }, (_, at) => (secret[at] ?? 0) ^ mask);
      const inner = digest(Uint8Array.from([...block(0x36), ...utf8(value, 'hmac')]));
      return encoded(digest(Uint8Array.from([...block(0x5c), ...inner])), encoding);
    },
    uuid() {
      const bytes = Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
      bytes[6] = (bytes[6] & 15) | 64;
      bytes[8] = (bytes[8] & 63) | 128;
      return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    },
  });
}
