/** A stream of server-sent events that rests while the tab is hidden and goes on after the last event that it saw. */

/** `live` while events arrive, `lost` until it is so again, `resting` in a hidden tab, `ended` when no more will come. */
export type Connection = "connecting" | "live" | "lost" | "resting" | "ended";

export interface StreamEvent {
  type: string;
  id: string;
  data: string;
}

interface StreamOptions {
  /** The address of the stream, after the event of this id; at first after `after`. */
  address: (after: string | undefined) => string;
  after?: string | undefined;
  /** The names of events to listen for; those without a name are "message". */
  types: readonly string[];
  onEvent: (event: StreamEvent) => void;
  onConnection?: (connection: Connection) => void;
  connect?: (address: string) => EventSource;
}

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

/**
 * The browser reconnects by itself, with `Last-Event-ID`, when a connection breaks. It gives up when the answer is an
 * error, as of a proxy whose server restarts; then a new connection is tried, later each time.
 */
export class LiveStream {
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastId: string | undefined;
  #failures = 0;

  constructor(private readonly options: StreamOptions) {
    this.#lastId = options.after;
  }

  start(): void {
    document.addEventListener("visibilitychange", this.#follow);
    window.addEventListener("online", this.#hurry);
    this.#follow();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.#follow);
    window.removeEventListener("online", this.#hurry);
    this.#close();
  }

  /** No more events will come: do not connect again. */
  end(): void {
    this.stop();
    this.#tell("ended");
  }

  #follow = (): void => {
    if (document.visibilityState === "visible") {
      if (!this.#source) this.#open();
    } else {
      this.#close();
      this.#tell("resting");
    }
  };

  #hurry = (): void => {
    if (this.#source || document.visibilityState !== "visible") return;
    this.#failures = 0;
    this.#open();
  };

  #open(): void {
    clearTimeout(this.#timer);
    if (this.#failures === 0) this.#tell("connecting");
    const connect =
      this.options.connect ?? ((address) => new EventSource(address, { withCredentials: true }));
    const source = connect(this.options.address(this.#lastId));
    this.#source = source;
    source.onopen = () => {
      this.#failures = 0;
      this.#tell("live");
    };
    source.onerror = () => {
      this.#tell("lost");
      if (source.readyState === EventSource.CLOSED) this.#retry();
    };
    for (const type of this.options.types) {
      source.addEventListener(type, (event) => this.#receive(event));
    }
  }

  #receive({ type, lastEventId, data }: MessageEvent<unknown>): void {
    if (lastEventId) this.#lastId = lastEventId;
    this.options.onEvent({ type, id: lastEventId, data: String(data) });
  }

  #retry(): void {
    this.#close();
    const wait = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Spread, so that all tabs do not come back in the same moment.
    this.#timer = setTimeout(() => this.#follow(), wait * (0.5 + Math.random() / 2));
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #tell(connection: Connection): void {
    this.options.onConnection?.(connection);
  }
}
