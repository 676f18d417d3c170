/** Turns what is written into pieces to be read. */
export interface Work<In, Out> {
  /** Takes a write. An exception is a fault in front of everything that was not handed out yet. */
  push(input: In): void;
  /** The next piece; undefined when there is none for now. An exception is a fault. */
  next(): Out | undefined;
  /** Whether all that was taken has become pieces. */
  readonly isSettled: boolean;
  /** Whether another write may be taken before that. Default: as `isSettled`. */
  readonly hasRoom?: boolean;
  /** Whether nothing that was handed out by other ways than {@link next}, such as a body, waits to be read. */
  readonly isRead: boolean;
  /** The write in hand is done: others may come. */
  onRelease?(): void;
  /** The input has ended. An exception is a fault. */
  finish(): void;
  /** A fault comes behind the pieces of what was taken: nothing more will be taken, and nothing more is to be asked for. */
  stop?(reason: unknown): void;
  /** Lets go of everything. */
  destroy(reason: unknown): void;
}

/** Called once, when a write is done, or with its fault. */
export type Done = (error?: any) => void;

/** The way from a flow to the reader of a stream. Streams of a kind share it. */
export interface Outlet<Stream, Out> {
  /** True: a write is done when its last piece is handed out. False: when one more piece is wanted. */
  readonly isEager: boolean;
  /** Whether the reader asks for its first piece, too. Default: no, the first piece is wanted from the beginning. */
  readonly asksFirst?: boolean;
  /** Hands out a piece. Returns whether the reader wants more. */
  push(stream: Stream, piece: Out): boolean;
  /** Whether {@link emit} would do what `push` does, and the reader would want more. Not asked for a first piece. */
  flows?(stream: Stream): boolean;
  /** The short way. */
  emit?(stream: Stream, piece: Out): void;
  /** Whether the reader has taken all that was handed out. */
  isRead(stream: Stream): boolean;
  /** Calls `done`, at once or soon. `isSync`: the call that began the write has not returned. */
  release(stream: Stream, done: Done, isSync: boolean): void;
  /** Calls `done` with the fault, at once or soon. */
  fail(stream: Stream, done: Done, error: unknown): void;
  /** Calls `goOn` in another turn of the event loop. Default: pieces are handed out for as long as they are wanted. */
  rest?(goOn: () => void): void;
  /** Pieces are batches: each counts as its elements. Default: false. */
  readonly hasBatches?: boolean;
}

/**
 * After this many messages, others have their turn: one chunk of 64 KiB may be 16,384 messages, and many chunks may come
 * in one turn of the event loop.
 */
export const MOST_IN_A_TURN = 4096;

/** The number of messages at which a flow that has handed out `count` rests. */
const nextRest = (count: number): number => count - (count % MOST_IN_A_TURN) + MOST_IN_A_TURN;

/** The reader wants a piece. */
const WANTED = 1;
/** Pieces are being handed out. */
const PUMPING = 2;
/** The call that begins a write has not returned. */
const IN_CALL = 4;
/** A write is done when its last piece was handed out. */
const EAGER = 8;
/** The reader of a body wants more of it. */
const BODY_WAITING = 16;
/** It is the turn of others. */
const TIRED = 32;
/** Others have their turn. */
const RESTING = 64;
/** It was destroyed. */
const OVER = 128;

/**
 * The pump of every stream: it goes at the reader's pace, keeps order, and shows a fault last. It pairs what is written
 * with what is wanted by itself: a Transform that asks `push` instead can hang when one write becomes many messages
 * (nodejs/node issue 49938).
 *
 *              take, finish                       no piece left,
 *       idle ----------------> busy: hands out ------------------> idle, and done(): hands out
 *                              what is wanted     or room for more       what is left
 *                                   | take, next or finish throws
 *                                   v
 *                              faulty: waits until the reader ---> over, and done(error)
 *       idle, busy  --- fail -->    has taken everything
 *
 * In all of them, it rests when {@link MOST_IN_A_TURN} pieces were handed out, and goes on in another turn.
 *
 * A fault of `fail` comes behind the pieces of what was taken before it. It waits until these are read: a stream that fails
 * throws away what is still to be read.
 */
export class Flow<Stream, In, Out> {
  readonly #stream: Stream;
  readonly #outlet: Outlet<Stream, Out>;
  readonly work: Work<In, Out>;
  /** The callback of the write in hand, or of the end. */
  #done: Done | undefined;
  #fault: Fault | undefined;
  // All in one field, and no methods with #, which would take one more: there may be very many streams that are idle.
  #flags: number;
  /** The number of pieces that were handed out. Each element of a batch counts. */
  #count = 0;

  constructor(stream: Stream, outlet: Outlet<Stream, Out>, work: Work<In, Out>) {
    this.#stream = stream;
    this.#outlet = outlet;
    this.work = work;
    this.#flags = (outlet.isEager ? EAGER : 0) | (outlet.asksFirst === true ? 0 : WANTED);
  }

  /** The number of messages that were handed out. Each message of a batch counts. */
  get count(): number {
    return this.#count;
  }

  /** Whether it was destroyed. */
  get isOver(): boolean {
    return (this.#flags & OVER) !== 0;
  }

  /** Whether a write, or the end, is in hand. */
  get isBusy(): boolean {
    return this.#done !== undefined;
  }

  /** The fault that waits to show. */
  get fault(): unknown {
    return this.#fault?.error;
  }

  /** Takes a write when none is in hand, and hands out what it becomes. */
  take(input: In, done: Done): void {
    this.#done = done;
    try {
      this.work.push(input);
    } catch (error) {
      this.breakNext(error);
    }
    this.#flags |= IN_CALL;
    try {
      this.goOn();
    } finally {
      this.#flags &= ~IN_CALL;
    }
  }

  /** The input has ended. To be called when no write is in hand. */
  finish(done: Done): void {
    this.#done = done;
    this.#flags |= EAGER;
    try {
      this.work.finish();
    } catch (error) {
      this.breakNext(error);
    }
    this.goOn();
  }

  /** Fails behind what was taken before. Only the first fault counts. */
  fail(error: unknown, done?: Done): void {
    this.#done ??= done;
    this.setFault(error);
    this.goOn();
  }

  /** Fails in front of all that was not handed out yet. */
  breakOff(error: unknown): void {
    this.breakNext(error);
    this.wasRead();
  }

  /** The reader of a body wants more of it. The write in hand is then done, too. */
  set isBodyWaiting(isWaiting: boolean) {
    this.#flags = isWaiting ? this.#flags | BODY_WAITING : this.#flags & ~BODY_WAITING;
  }

  /** The reader wants a piece. */
  want(): void {
    this.#flags |= WANTED;
    this.goOn();
  }

  /** Goes on: there may be a piece where there was none. */
  goOn(): void {
    // Listeners run inside `push`, and the next write may come inside `release`: the loops below go on for them.
    if ((this.#flags & (PUMPING | RESTING)) !== 0) return;
    this.#flags |= PUMPING;
    const stream = this.#stream;
    const outlet = this.#outlet;
    const work = this.work;
    const hasBatches = outlet.hasBatches === true;
    let tiredAt = nextRest(this.#count);
    let isFirst = true;
    let isInWork = false;
    try {
      for (;;) {
        let isUsedUp = false;
        while ((this.#flags & WANTED) !== 0 && (this.#done !== undefined || !work.isSettled)) {
          if (this.#fault?.isNext) break;
          if ((this.#flags & TIRED) !== 0 && this.rests()) break;
          isInWork = true;
          const piece = work.next();
          isInWork = false;
          // A function of the user's, called for the piece, may have destroyed it.
          if ((this.#flags & OVER) !== 0) break;
          if (piece === undefined) {
            isUsedUp = true;
            break;
          }
          this.#count += hasBatches ? (piece as unknown as unknown[]).length : 1;
          if (this.#count >= tiredAt) {
            tiredAt = nextRest(this.#count);
            this.#flags |= TIRED;
          }
          if (!isFirst && outlet.flows?.(stream)) {
            outlet.emit!(stream, piece);
            continue;
          }
          this.#flags &= ~WANTED;
          if (outlet.push(stream, piece)) this.#flags |= WANTED;
          isFirst = false;
        }
        const isDone = isUsedUp || (this.#flags & (EAGER | BODY_WAITING)) !== 0;
        if (!isDone || !this.releases()) break;
      }
    } catch (error) {
      // An exception of a listener is not a fault. The piece was handed out.
      if (!isInWork) {
        this.#flags |= WANTED;
        throw error;
      }
      this.breakNext(error);
    } finally {
      this.#flags &= ~PUMPING;
    }
    if (this.#fault !== undefined) this.wasRead();
  }

  /** Gives others their turn, where the outlet does so. */
  private rests(): boolean {
    const { rest } = this.#outlet;
    this.#flags &= ~TIRED;
    if (rest === undefined) return false;
    this.#flags |= RESTING;
    rest(() => {
      this.#flags &= ~RESTING;
      try {
        this.goOn();
      } catch (error) {
        // A listener threw. Nobody else would go on.
        if ((this.#flags & RESTING) === 0) this.rests();
        throw error;
      }
    });
    return true;
  }

  /** Calls back the write in hand, if there is room for another. Returns whether another one has come. */
  private releases(): boolean {
    const done = this.#done;
    if (done === undefined || this.#fault !== undefined) return false;
    if (!(this.work.hasRoom ?? this.work.isSettled)) return false;
    this.#done = undefined;
    this.work.onRelease?.();
    this.#outlet.release(this.#stream, done, (this.#flags & IN_CALL) !== 0);
    return this.#done !== undefined;
  }

  /** A fault comes next. */
  private breakNext(error: unknown): void {
    this.setFault(error);
    this.#fault!.isNext = true;
  }

  private setFault(error: unknown): void {
    if (this.#fault !== undefined) return;
    this.#fault = { error, isNext: false };
    this.work.stop?.(error);
  }

  /** The reader has taken a piece: a fault may be due. */
  wasRead(): void {
    const fault = this.#fault;
    const done = this.#done;
    if (fault === undefined || done === undefined || (this.#flags & PUMPING) !== 0) return;
    if (!fault.isNext && !this.work.isSettled) return;
    if (!this.work.isRead || !this.#outlet.isRead(this.#stream)) return;
    this.#done = undefined;
    this.#outlet.fail(this.#stream, done, fault.error);
  }

  /** Lets go of everything, also of a fault that waits to show. Returns the callback of the write in hand. */
  destroy(reason: unknown): Done | undefined {
    const done = this.#done;
    this.#done = undefined;
    this.#fault = undefined;
    this.#flags |= OVER;
    this.work.destroy(reason);
    return done;
  }
}

interface Fault {
  readonly error: unknown;
  /** No piece comes before it any more. */
  isNext: boolean;
}
