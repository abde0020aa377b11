// Time zones. `addZones` takes a line per zone: its names, its offsets in minutes, and its changes (the minutes since the
// previous one, or since 1970, and the index of the offset), in base 36.
'use strict';
prelude.zones = new Map();
prelude.addZones = (lines) => {
  for (const line of lines.split('\n')) {
    const [names, offsets, changes] = line.split('|'), entries = changes ? changes.split(' ') : [];
    let minute = 0;
    const zone = {
      offsets: offsets.split(' ').map(Number),
      starts: Int32Array.from(entries, (entry) => (minute += parseInt(entry.slice(0, -1), 36))),
      kinds: Uint8Array.from(entries, (entry) => parseInt(entry.at(-1), 36)),
    };
    for (const name of names.split(' ')) prelude.zones.set(name, zone);
  }
};
