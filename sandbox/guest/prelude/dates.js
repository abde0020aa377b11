// Dates with zones, from 1970 to 2099.
'use strict';
{
  const MINUTE = 60_000, DAY = 86_400_000;
  const { kind, zones } = prelude;
  const MONTHS = 'January February March April May June July August September October November December'.split(' ');
  const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
  const UNITS = { milliseconds: 1, seconds: 1000, minutes: MINUTE, hours: 60 * MINUTE, days: DAY, weeks: 7 * DAY };
  const CALENDAR = ['years', 'quarters', 'months', 'weeks', 'days'];

  const fixed = /^(?:UTC|GMT)?([+-])(\d\d?)(?::?(\d\d))?$/;

  // The milliseconds by which a zone is ahead of UTC.
  const offsetAt = (time, name) => {
    if (name === 'UTC') return 0;
    const zone = zones.get(name), written = zone ? null : fixed.exec(name);
    if (written) return (written[1] + 1) * (written[2] * 60 + +(written[3] ?? 0)) * MINUTE;
    if (!zone) throw new RangeError(`There is no time zone \`${String(name).slice(0, 60)}\`; zones are named as in Europe/Oslo or UTC`);
    const { offsets, starts, kinds } = zone, minute = Math.floor(time / MINUTE);
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= minute) low = middle + 1;
      else high = middle;
    }
    return offsets[low ? kinds[low - 1] : 0] * MINUTE;
  };
  // The moment of a local time in a zone: the first one of two, and for a time that is skipped in spring, as if the clock
  // had not been changed.
  const fromLocal = (local, zone) => {
    const before = offsetAt(local - DAY, zone), after = offsetAt(local + DAY, zone);
    for (const offset of [before, after]) if (offsetAt(local - offset, zone) === offset) return local - offset;
    return local - before;
  };
  const utc = (year, month, day, hour = 0, minute = 0, second = 0, ms = 0) => {
    const made = new Date(0);
    made.setUTCFullYear(year, month, day);
    made.setUTCHours(hour, minute, second, ms);
    return made.getTime();
  };

  // A time in ISO 8601; without a zone of its own it is in `zone`.
  const ISO = /^(\d{4})-(\d\d)(?:-(\d\d))?(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i;
  const timeOf = (value, zone = 'UTC') => {
    const time = value instanceof Date ? value.getTime() : typeof value === 'number' ? value : null;
    if (time !== null) {
      if (!Number.isFinite(time) || Math.abs(time) > 8.64e15) throw new RangeError('The date is not valid');
      return time;
    }
    const found = typeof value === 'string' ? ISO.exec(value.trim()) : null;
    if (!found) {
      const shown = typeof value === 'string' ? `\`${value.slice(0, 40)}\`` : kind(value);
      throw new TypeError(`A date is a Date, milliseconds since 1970, or a text such as 2026-01-31T12:00:00Z, not ${shown}`);
    }
    const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => +(part ?? 0));
    return checked([year, month, found[3] ? day : 1, hour, minute, second, +((found[7] ?? '').padEnd(3, '0').slice(0, 3))], found[8] ?? zone);
  };
  const checked = ([year, month, day, hour, minute, second, ms], zone) => {
    const local = utc(year, month - 1, day, hour, minute, second, ms), made = new Date(local);
    if (made.getUTCMonth() !== month - 1 || made.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) {
      throw new RangeError('This day or time does not exist');
    }
    return zone.toUpperCase() === 'Z' ? local : fromLocal(local, zone);
  };
  const partsOf = (time, zone) => {
    const offset = offsetAt(time, zone), local = new Date(time + offset);
    const year = local.getUTCFullYear(), dayOfYear = Math.floor((local.getTime() - utc(year, 0, 1)) / DAY) + 1;
    const weekday = local.getUTCDay() || 7;
    const thursday = new Date(local.getTime() + (4 - weekday) * DAY);
    const week = Math.floor((thursday.getTime() - utc(thursday.getUTCFullYear(), 0, 1)) / (7 * DAY)) + 1;
    return {
      year, month: local.getUTCMonth() + 1, day: local.getUTCDate(), hour: local.getUTCHours(), minute: local.getUTCMinutes(),
      second: local.getUTCSeconds(), millisecond: local.getUTCMilliseconds(), weekday, week, dayOfYear, offset: offset / MINUTE,
    };
  };
  const shownOffset = (minutes, separator) => {
    const size = Math.abs(minutes), two = (number) => String(number).padStart(2, '0');
    return (minutes < 0 ? '-' : '+') + two(Math.floor(size / 60)) + separator + two(size % 60);
  };
  const padded = (number, length) => String(number).padStart(length, '0');
  const FIELDS = {
    yyyy: (p) => padded(p.year, 4), yy: (p) => padded(p.year % 100, 2), MMMM: (p) => MONTHS[p.month - 1],
    MMM: (p) => MONTHS[p.month - 1].slice(0, 3), MM: (p) => padded(p.month, 2), M: (p) => p.month, dd: (p) => padded(p.day, 2),
    d: (p) => p.day, DDD: (p) => padded(p.dayOfYear, 3), EEEE: (p) => DAYS[p.weekday % 7], EEE: (p) => DAYS[p.weekday % 7].slice(0, 3),
    HH: (p) => padded(p.hour, 2), H: (p) => p.hour, hh: (p) => padded(p.hour % 12 || 12, 2), h: (p) => p.hour % 12 || 12,
    mm: (p) => padded(p.minute, 2), m: (p) => p.minute, ss: (p) => padded(p.second, 2), s: (p) => p.second,
    SSS: (p) => padded(p.millisecond, 3), a: (p) => (p.hour < 12 ? 'AM' : 'PM'), ww: (p) => padded(p.week, 2), Q: (p) => Math.ceil(p.month / 3),
    XXX: (p) => (p.offset ? shownOffset(p.offset, ':') : 'Z'), xxx: (p) => shownOffset(p.offset, ':'), xx: (p) => shownOffset(p.offset, ''),
  };
  const PATTERN = /'((?:[^']|'')*)'|([A-Za-z])\2*/g;
  const field = (name) => {
    if (Object.hasOwn(FIELDS, name)) return FIELDS[name];
    throw new RangeError(`The pattern contains the unknown field \`${name}\`; use ${Object.keys(FIELDS).join(' ')}, and put other letters in '...'`);
  };

  // The name and the regular expression of each part of a pattern, for parsing.
  const READ = { yyyy: ['year', '\\d{4}'], yy: ['year', '\\d\\d'], MM: ['month', '\\d\\d'], M: ['month', '\\d\\d?'], dd: ['day', '\\d\\d'], d: ['day', '\\d\\d?'],
    MMMM: ['name', MONTHS.join('|')], MMM: ['name', MONTHS.map((month) => month.slice(0, 3)).join('|')],
    HH: ['hour', '\\d\\d'], H: ['hour', '\\d\\d?'], hh: ['hour', '\\d\\d'], h: ['hour', '\\d\\d?'], mm: ['minute', '\\d\\d'], m: ['minute', '\\d\\d?'],
    ss: ['second', '\\d\\d'], s: ['second', '\\d\\d?'], SSS: ['ms', '\\d{3}'], a: ['half', 'AM|PM'], XXX: ['offset', 'Z|[+-]\\d\\d:\\d\\d'],
    xxx: ['offset', '[+-]\\d\\d:\\d\\d'], xx: ['offset', '[+-]\\d{4}'], EEEE: ['', DAYS.join('|')], EEE: ['', DAYS.map((day) => day.slice(0, 3)).join('|')] };
  const parsed = (text, pattern, zone) => {
    const names = [], literal = (value) => value.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    let expression = '', at = 0;
    for (const found of pattern.matchAll(PATTERN)) {
      expression += literal(pattern.slice(at, found.index));
      at = found.index + found[0].length;
      if (found[2]) {
        if (!Object.hasOwn(READ, found[0])) throw new RangeError(`parseDate cannot read the field \`${found[0]}\` of the pattern`);
        names.push(READ[found[0]][0]);
        expression += `(${READ[found[0]][1]})`;
      } else expression += literal(found[1].replaceAll("''", "'") || "'");
    }
    const values = new RegExp(`^${expression}${literal(pattern.slice(at))}$`, 'i').exec(text.trim());
    if (!values) throw new TypeError(`\`${text.slice(0, 40)}\` is not written as ${pattern}`);
    const read = { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, ms: 0 };
    names.forEach((name, index) => (read[name] = values[index + 1]));
    if (read.name) read.month = MONTHS.findIndex((month) => month.slice(0, 3).toLowerCase() === read.name.slice(0, 3).toLowerCase()) + 1;
    if (read.half) read.hour = (read.hour % 12) + (read.half.toUpperCase() === 'PM' ? 12 : 0);
    if (names.includes('year') && read.year.length === 2) read.year = 2000 + +read.year;
    return checked([read.year, read.month, read.day, read.hour, read.minute, read.second, read.ms].map(Number), read.offset ?? zone);
  };
  const unitOf = (unit, among) => {
    const name = String(unit).replace(/s?$/, 's');
    if (!among.includes(name)) throw new RangeError(`The unit \`${unit}\` is unknown; use ${among.join(', ')}`);
    return name;
  };

  prelude.add({
    now: () => new Date(),
    parseDate: (value, pattern, zone = 'UTC') => new Date(pattern === undefined ? timeOf(value, zone) : parsed(String(value), pattern, zone)),
    formatDate(value, pattern = "yyyy-MM-dd'T'HH:mm:ssXXX", zone = 'UTC') {
      const parts = partsOf(timeOf(value, zone), zone);
      return pattern.replace(PATTERN, (found, literal, sign) => (sign ? field(found)(parts) : literal.replaceAll("''", "'") || "'"));
    },
    dateParts: (value, zone = 'UTC') => partsOf(timeOf(value, zone), zone),
    addTime(value, amounts, zone = 'UTC') {
      const time = timeOf(value, zone), local = new Date(time + offsetAt(time, zone));
      const given = Object.fromEntries(Object.entries(amounts).map(([unit, amount]) => [unitOf(unit, [...CALENDAR, ...Object.keys(UNITS)]), +amount]));
      if (Object.values(given).some((amount) => !Number.isFinite(amount))) throw new TypeError('addTime takes numbers, as in {days: 1}');
      const day = local.getUTCDate();
      const months = (given.years ?? 0) * 12 + (given.quarters ?? 0) * 3 + (given.months ?? 0);
      const last = new Date(utc(local.getUTCFullYear(), local.getUTCMonth() + months + 1, 0)).getUTCDate();
      const days = Math.min(day, last) + (given.weeks ?? 0) * 7 + (given.days ?? 0);
      let made = time; // days keep the local time of day; hours are exact
      if (months || given.weeks || given.days) {
        made = fromLocal(utc(local.getUTCFullYear(), local.getUTCMonth() + months, days) + (((local.getTime() % DAY) + DAY) % DAY), zone);
      }
      for (const unit of ['hours', 'minutes', 'seconds', 'milliseconds']) made += (given[unit] ?? 0) * UNITS[unit];
      return new Date(timeOf(made));
    },
    startOf(value, unit, zone = 'UTC') {
      const parts = partsOf(timeOf(value, zone), zone), { year, month, day, hour, minute, second } = parts;
      const starts = {
        years: [year, 0, 1], quarters: [year, Math.floor((month - 1) / 3) * 3, 1], months: [year, month - 1, 1],
        weeks: [year, month - 1, day - parts.weekday + 1], days: [year, month - 1, day], hours: [year, month - 1, day, hour],
        minutes: [year, month - 1, day, hour, minute], seconds: [year, month - 1, day, hour, minute, second],
      };
      return new Date(fromLocal(utc(...starts[unitOf(unit, Object.keys(starts))]), zone));
    },
    timeBetween(from, to, unit = 'milliseconds', zone = 'UTC') {
      const name = unitOf(unit, ['years', 'months', ...Object.keys(UNITS)]), first = timeOf(from, zone), second = timeOf(to, zone);
      if (name !== 'months' && name !== 'years') return (second - first) / UNITS[name];
      const a = partsOf(first, zone), b = partsOf(second, zone), months = (b.year - a.year) * 12 + b.month - a.month;
      const reached = addTime(first, { months }, zone).getTime();
      const whole = months - (months > 0 && reached > second ? 1 : 0) + (months < 0 && reached < second ? 1 : 0);
      return name === 'months' ? whole : Math.trunc(whole / 12);
    },
  });
}
