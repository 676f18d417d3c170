import { bytes, FrameError } from './errors.js';
import type { Work } from './flow.js';
import type { FrameParser } from './parser.js';

/** The clock of the platform. */
export interface Clock {
  /** In ms. */
  now(): number;
  /** Calls `run` after `ms` milliseconds. It keeps no process alive. Returns a function that cancels the call. */
  after(ms: number, run: () => void): () => void;
  /** Calls `run` when all bytes that have come in this turn of the event loop were read. */
  nextTurn(run: () => void): void;
}

/** With bodies, the deadline is renewed by every 65,536 bytes. */
const RENEWING = 65_536;

/** The work with a deadline for the frames of its `parser`. A `timeout` of 0 is none. */
export function timed<In, Out>(
  work: Work<In, Out>,
  parser: FrameParser<any, unknown, boolean>,
  timeout: number,
  clock: Clock,
  fail: (error: FrameError) => void,
): Work<In, Out> {
  return timeout > 0 ? new Deadline(work, parser, timeout, clock, fail) : work;
}

/**
 * The work of a decoder whose frames have a deadline:
 *
 *               onRelease, inside a frame          no time is left
 *     stands ----------------------------> runs ------------------> expiring --- another turn ---> fails
 *            <----------------------------                             |
 *               push                                                   |
 *            <---------------------------------------------------------/
 *               push: a byte came while the event loop was blocked
 *
 * It runs while bytes of the peer are waited for, and begins anew with each frame. One timer is set the first time that it
 * runs. Where that fires too early, it is set again for the time that is left: so chunks cost next to nothing.
 */
export class Deadline<In, Out> implements Work<In, Out> {
  /** Its frames are timed. */
  readonly parser: FrameParser<any, unknown, boolean>;
  readonly #work: Work<In, Out>;
  readonly #timeout: number;
  readonly #clock: Clock;
  readonly #fail: (error: FrameError) => void;
  /** The frame that is timed: its place in the stream, and how often it was renewed. */
  #frame = -1;
  #renewals = 0;
  /** The ms that were left when the clock began to run, and the time at which it did; undefined while it stands. */
  #left = 0;
  #since: number | undefined;
  #cancel: (() => void) | undefined;
  #isExpiring = false;
  /** This frame was given more time. */
  #hasGrace = false;
  /** The ms by which the timer was late. */
  #late = 0;

  /** Times the frames of `parser`, which `work` has. `fail` is called once at the most. */
  constructor(
    work: Work<In, Out>,
    parser: FrameParser<any, unknown, boolean>,
    timeout: number,
    clock: Clock,
    fail: (error: FrameError) => void,
  ) {
    this.#work = work;
    this.parser = parser;
    this.#timeout = timeout;
    this.#clock = clock;
    this.#fail = fail;
  }

  push(input: In): void {
    this.#stand();
    this.#work.push(input);
  }

  onRelease(): void {
    const { openAt, pendingFrameBytes, inParts } = this.parser;
    if (openAt === undefined) {
      this.#stop();
      return;
    }
    const renewals = inParts ? Math.floor(pendingFrameBytes / RENEWING) : 0;
    if (openAt !== this.#frame || renewals > this.#renewals) {
      this.#left = this.#timeout;
      this.#hasGrace = false;
    }
    this.#frame = openAt;
    this.#renewals = renewals;
    this.#since = this.#clock.now();
    if (this.#cancel === undefined) this.#set(this.#left);
  }

  #stand(): void {
    if (this.#since === undefined) return;
    this.#left -= this.#clock.now() - this.#since;
    this.#since = undefined;
    if (!this.#isExpiring) return;
    // These bytes came while the event loop was blocked, which is not the peer's fault: the frame gets as much time more.
    // It does so once: in a loop that is often blocked, a byte now and then would be in time for ever.
    this.#isExpiring = false;
    this.#hasGrace = true;
    this.#left = Math.max(1, this.#late);
  }

  #set(ms: number): void {
    this.#cancel = this.#clock.after(Math.max(1, Math.ceil(ms)), () => {
      this.#cancel = undefined;
      this.#look();
    });
  }

  #look(): void {
    if (this.#since === undefined) return;
    const left = this.#left - (this.#clock.now() - this.#since);
    if (left > 0) {
      this.#set(left);
      return;
    }
    if (this.#hasGrace) {
      this.#expire();
      return;
    }
    this.#late = -left;
    this.#isExpiring = true;
    this.#clock.nextTurn(() => {
      if (this.#isExpiring) this.#expire();
    });
  }

  #expire(): void {
    const { openAt, pendingFrameBytes } = this.parser;
    this.#stop();
    const what = `the frame was not complete within ${this.#timeout} ms (frameTimeout), ${bytes(pendingFrameBytes)} of it came`;
    this.#fail(new FrameError('ERR_FRAME_TIMEOUT', openAt!, what));
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#since = undefined;
    this.#isExpiring = false;
    this.#frame = -1;
  }

  next(): Out | undefined {
    return this.#work.next();
  }

  get isSettled(): boolean {
    return this.#work.isSettled;
  }

  get isRead(): boolean {
    return this.#work.isRead;
  }

  finish(): void {
    this.#stop();
    this.#work.finish();
  }

  stop(reason: unknown): void {
    this.#stop();
    this.#work.stop?.(reason);
  }

  destroy(reason: unknown): void {
    this.#stop();
    this.#work.destroy(reason);
  }
}
