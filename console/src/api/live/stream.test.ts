import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Connection, LiveStream, type StreamEvent } from "./stream";

/** An EventSource whose server is the test. */
class Source extends EventTarget {
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;

  constructor(readonly address: string) {
    super();
  }

  close() {
    this.readyState = EventSource.CLOSED;
  }

  opens() {
    this.readyState = EventSource.OPEN;
    this.onopen?.();
  }

  sends(type: string, id: string, data = "{}") {
    this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id }));
  }

  refuses() {
    this.readyState = EventSource.CLOSED;
    this.onerror?.();
  }
}

let visibility: DocumentVisibilityState;
let sources: Source[];
let events: StreamEvent[];
let connections: Connection[];
let streams: LiveStream[];

function newest(): Source {
  const source = sources.at(-1);
  if (!source) throw new Error("There is no connection.");
  return source;
}

function show(state: DocumentVisibilityState) {
  visibility = state;
  document.dispatchEvent(new Event("visibilitychange"));
}

function newStream(after?: string) {
  const stream = new LiveStream({
    address: (last) => `/events?after=${last ?? ""}`,
    after,
    types: ["state", "message"],
    onEvent: (event) => events.push(event),
    onConnection: (connection) => connections.push(connection),
    connect: (address) => {
      const source = new Source(address);
      sources.push(source);
      return source as unknown as EventSource;
    },
  });
  streams.push(stream);
  return stream;
}

beforeEach(() => {
  vi.useFakeTimers();
  visibility = "visible";
  sources = [];
  events = [];
  connections = [];
  streams = [];
  vi.stubGlobal("EventSource", { CLOSED: 2, OPEN: 1, CONNECTING: 0 });
  vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visibility);
});

afterEach(() => {
  for (const stream of streams) stream.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("LiveStream", () => {
  it("passes on named and unnamed events", () => {
    newStream("4").start();
    newest().opens();
    newest().sends("state", "4", '{"status":"running"}');
    newest().sends("message", "5");
    expect(newest().address).toBe("/events?after=4");
    expect(events.map(({ type, id }) => [type, id])).toEqual([
      ["state", "4"],
      ["message", "5"],
    ]);
    expect(connections).toEqual(["connecting", "live"]);
  });

  it("has no connection in a hidden tab, and goes on after the last event when it is shown", () => {
    newStream("4").start();
    newest().sends("message", "7");
    show("hidden");
    expect(newest().readyState).toBe(2);
    expect(connections.at(-1)).toBe("resting");
    show("visible");
    expect(sources).toHaveLength(2);
    expect(newest().address).toBe("/events?after=7");
  });

  it("opens nothing when it starts in a hidden tab", () => {
    visibility = "hidden";
    newStream().start();
    expect(sources).toHaveLength(0);
  });

  it("connects again, later each time, after the server refused", () => {
    newStream().start();
    const waits = [1, 2, 4].map((seconds) => {
      const before = sources.length;
      newest().refuses();
      expect(connections.at(-1)).toBe("lost");
      vi.advanceTimersByTime(seconds * 499);
      expect(sources).toHaveLength(before);
      vi.advanceTimersByTime(seconds * 501);
      return sources.length - before;
    });
    expect(waits).toEqual([1, 1, 1]);
  });

  it("leaves a broken connection to the browser, which reconnects by itself", () => {
    newStream().start();
    newest().opens();
    newest().readyState = 0;
    newest().onerror?.();
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(1);
    expect(connections.at(-1)).toBe("lost");
  });

  it("does not wait when the network is back", () => {
    newStream().start();
    newest().refuses();
    window.dispatchEvent(new Event("online"));
    expect(sources).toHaveLength(2);
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(2);
  });

  it("opens nothing once it has ended or was stopped", () => {
    const ended = newStream();
    ended.start();
    ended.end();
    const stopped = newStream();
    stopped.start();
    newest().refuses();
    stopped.stop();
    show("hidden");
    show("visible");
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(2);
    expect(connections).toContain("ended");
  });
});
