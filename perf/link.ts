// A slow link in user space: one process that passes bytes between two sockets with a delay and a rate cap.
// node perf/link.ts LISTEN_PORT TARGET RTT_MS BYTES_PER_SECOND ; TARGET is a port of this host or a path of a Unix socket.
import { connect, createServer, type Socket } from 'node:net';

/** Bytes that the link holds per connection and direction: it stands in for a TCP window. */
const WINDOW = 3 * 1_048_576;
/** The cap is enforced in slices of this, so that a burst is never longer than about a millisecond of a fast link. */
const SLICE = 65_536;

/** The rate cap of one direction, shared by all connections: when the next byte may leave. */
class Wire {
  private free = 0;
  private readonly bytesPerMs: number;

  constructor(bytesPerSecond: number) {
    this.bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Takes the wire for `bytes`; gives the moment at which their last one has left. */
  send(bytes: number, now: number): number {
    this.free = Math.max(this.free, now) + bytes / this.bytesPerMs;
    return this.free;
  }
}

/** One direction of one connection: each piece is passed on `delay` after it has left the wire. */
class Lane {
  private readonly queue: { at: number; bytes: Buffer }[] = [];
  private held = 0;
  private ended = false;
  private waiting = false;
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly delay: number;

  constructor(from: Socket, to: Socket, wire: Wire, delay: number, count: (bytes: number) => void) {
    this.from = from;
    this.to = to;
    this.delay = delay;
    from.on('data', (data: Buffer) => {
      count(data.length);
      for (let at = 0; at < data.length; at += SLICE) this.enter(data.subarray(at, at + SLICE), wire);
      this.deliverSoon();
    });
    from.on('end', () => {
      this.ended = true;
      this.deliverSoon();
    });
    from.on('error', () => to.destroy());
    // An orderly end is passed on behind what is still under way; only a broken side breaks the other at once.
    to.on('close', (broken) => {
      if (broken) from.destroy();
    });
    to.on('drain', () => this.deliverSoon());
  }

  private enter(bytes: Buffer, wire: Wire): void {
    this.queue.push({ at: wire.send(bytes.length, performance.now()) + this.delay, bytes });
    this.held += bytes.length;
    if (this.held >= WINDOW) this.from.pause();
  }

  private deliverSoon(): void {
    if (this.waiting) return;
    this.waiting = true;
    const due = (this.queue[0]?.at ?? 0) - performance.now();
    const deliver = (): void => {
      this.waiting = false;
      this.deliver();
    };
    if (due > 0.5) setTimeout(deliver, due);
    else setImmediate(deliver);
  }

  private deliver(): void {
    const now = performance.now();
    let first = this.queue[0];
    while (first !== undefined && first.at <= now + 0.5 && !this.to.writableNeedDrain) {
      this.queue.shift();
      this.held -= first.bytes.length;
      this.to.write(first.bytes);
      first = this.queue[0];
    }
    if (this.held < WINDOW && this.from.isPaused()) this.from.resume();
    if (first !== undefined && !this.to.writableNeedDrain) this.deliverSoon();
    else if (first === undefined && this.ended) this.to.end();
  }
}

function serve(port: number, target: string, rtt: number, bytesPerSecond: number): void {
  const there = new Wire(bytesPerSecond);
  const back = new Wire(bytesPerSecond);
  const sent = { there: 0, back: 0 };
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const where = /^\d+$/.test(target) ? { port: Number(target), noDelay: true } : { path: target };
    const peer = connect({ ...where, allowHalfOpen: true });
    new Lane(client, peer, there, rtt / 2, (bytes) => {
      sent.there += bytes;
    });
    new Lane(peer, client, back, rtt / 2, (bytes) => {
      sent.back += bytes;
    });
  });
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    process.stdout.write(`${typeof address === 'object' ? address?.port : port}\n`);
  });
  // Each line on standard input asks for the bytes carried since the last one; its end ends the link.
  process.stdin.on('data', () => {
    process.stdout.write(`${JSON.stringify(sent)}\n`);
    sent.there = 0;
    sent.back = 0;
  });
  process.stdin.on('end', () => process.exit(0));
}

const [port = '0', target = '', rtt = '0', bytesPerSecond = '0'] = process.argv.slice(2);
serve(Number(port), target, Number(rtt), Number(bytesPerSecond));
