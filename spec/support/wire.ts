import { Buffer } from 'node:buffer';
import { Duplex as NodeDuplex } from 'node:stream';
import { Duplex as UserlandDuplex } from 'readable-stream';

export type Kind = 'node' | 'userland';

export const kinds: Kind[] = ['node', 'userland'];

interface WireOptions {
  readonly highWaterMark?: number;
  readonly allowHalfOpen?: boolean;
  /** Keeps the callback of each write until `step`. */
  readonly slow?: boolean;
}

type Callback = (error?: Error | null) => void;

/** A Duplex with nothing behind it but the test: it pushes what comes, and sees what is sent. */
export class Wire {
  readonly stream: NodeDuplex;
  /** What it was given, together what was given in one go. */
  readonly writes: Buffer[][] = [];
  #slow: boolean;
  #held: Callback | undefined;

  constructor(kind: Kind = 'node', { slow = false, ...options }: WireOptions = {}) {
    this.#slow = slow;
    const take = (chunks: Buffer[], callback: Callback) => {
      this.writes.push(chunks.map((chunk) => Buffer.from(chunk)));
      if (this.#slow) this.#held = callback;
      else callback();
    };
    const implementation = {
      read() {},
      write: (chunk: Buffer, _encoding: string, callback: Callback) => take([chunk], callback),
      writev: (chunks: { chunk: Buffer }[], callback: Callback) =>
        take(
          chunks.map(({ chunk }) => chunk),
          callback,
        ),
    };
    const Duplex = kind === 'node' ? NodeDuplex : (UserlandDuplex as unknown as typeof NodeDuplex);
    this.stream = new Duplex({ ...options, ...implementation });
  }

  /** All that was sent. */
  get sent(): Buffer {
    return Buffer.concat(this.writes.flat());
  }

  receive(...chunks: Uint8Array[]): void {
    for (const chunk of chunks) this.stream.push(chunk);
  }

  receiveEnd(): void {
    this.stream.push(null);
  }

  /** Finishes the write in hand. */
  step(error?: Error): boolean {
    const held = this.#held;
    this.#held = undefined;
    held?.(error);
    return held !== undefined;
  }

  /** From now on, finishes each write at once. */
  open(): void {
    this.#slow = false;
    this.step();
  }
}

/** Two ends of a connection: what is written to one is read from the other, at its pace. One that is cut off is reset. */
export function wirePair(kind: Kind = 'node', options: Omit<WireOptions, 'slow'> = {}): [NodeDuplex, NodeDuplex] {
  const Duplex = kind === 'node' ? NodeDuplex : (UserlandDuplex as unknown as typeof NodeDuplex);
  const held: (Callback | undefined)[] = [];
  const ends: NodeDuplex[] = [];
  const endOf = (me: number): NodeDuplex => {
    const other = 1 - me;
    return new Duplex({
      ...options,
      read() {
        const callback = held[other];
        held[other] = undefined;
        callback?.();
      },
      write(chunk, _encoding, callback) {
        // Its memory may be used again from the callback on.
        if (ends[other]!.push(Buffer.from(chunk))) callback();
        else held[me] = callback;
      },
      final(callback) {
        ends[other]!.push(null);
        callback();
      },
      destroy(error, callback) {
        if (!ends[me]!.writableFinished) ends[other]!.destroy(reset());
        callback(error);
      },
    });
  };
  ends.push(endOf(0), endOf(1));
  return ends as [NodeDuplex, NodeDuplex];
}

/** What a connection fails with that its peer has cut off. */
export function reset(): Error & { code: string } {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
}
