import { Buffer } from 'node:buffer';
import { Transform as NodeTransform, Readable, type Transform } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import * as userland from 'readable-stream';
import { FrameError, type LengthField, LengthPrefixEncoder, type LengthPrefixEncoderOptions } from '../../lib/index.js';
import { varintOf } from '../support/fields.js';
import { runs } from '../support/runs.js';
import { readsOn } from '../support/runtime.js';
import { codeOf } from '../support/streams.js';
import {
  type CommonStep,
  type Destroying,
  destroying,
  type FinalReader,
  finalReaders,
  foreign,
  highWaterMarks,
  payload,
  places,
  Rig,
  readerSteps,
  type Steps,
  timeSteps,
  type Write,
} from './stress.js';

const LIMIT = 160_000;

type Field = 'uint32le' | 'uint16be' | 'varint' | 'decimal' | 'typed';
type Encoding = 'utf8' | 'hex' | 'latin1' | 'base64';
type BodyKind = 'string' | 'buffer' | 'array' | 'generator' | 'async' | 'node' | 'userland' | 'web';
/** What is wrong with a body. */
type BodyFault = 'none' | 'throws' | 'short' | 'long' | 'wrong part' | 'stuck' | 'bad length';

interface Piece {
  as: 'buffer' | 'array' | 'foreign' | 'string' | 'parts' | 'body';
  size: number;
  encoding: Encoding;
  /** Where parts are cut, and whether each is a string. */
  cuts: number[];
  texts: boolean;
  body: BodyKind;
  fault: BodyFault;
  /** A body takes its time for each part. */
  slow: boolean;
  /** How the callback is given, if it is. */
  callback: 'none' | 'alone' | 'undefined' | 'null' | 'no function';
}

type EncoderStep =
  | CommonStep
  | Destroying
  | { do: 'write'; piece: Piece }
  | { do: 'write too long'; as: 'buffer' | 'string' | 'parts' | 'body'; body: BodyKind }
  | { do: 'write bad value' }
  | { do: 'write nothing'; value: null | undefined | number }
  | {
      do: 'end';
      piece: Piece | undefined;
      callback: 'none' | 'alone' | 'undefined' | 'null' | 'encoding';
      /** What is written at the next such place, most likely during the call. */
      during: { place: 'data' | 'readable' | 'sink' | 'body'; piece: Piece } | undefined;
    };

interface Settings {
  field: Field;
  readableHighWaterMark: number;
  writableHighWaterMark: number;
  /** Writes go through `encode`. */
  encode: boolean;
  /** What is read is text. */
  hex: boolean;
}

interface Run {
  settings: Settings;
  steps: Steps<EncoderStep>[];
  reader: FinalReader;
  ending: EncoderStep;
  /** The end comes before the last reader. */
  early: boolean;
}

/** Its own digits, and a space. */
function decimalField(): LengthField & { calls: number } {
  return {
    calls: 0,
    maxWidth: 17,
    read: () => undefined,
    write(length) {
      this.calls++;
      return Buffer.from(`${length} `);
    },
  };
}

function headOf(field: Field, length: number): Buffer {
  if (field === 'decimal') return Buffer.from(`${length} `);
  if (field === 'varint') return varintOf(length);
  if (field === 'uint32le') {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(length);
    return head;
  }
  const head = Buffer.alloc(field === 'typed' ? 3 : 2, 7);
  head.writeUInt16BE(length, head.length - 2);
  return head;
}

/** A body under watch. */
interface Watched {
  readonly body: unknown;
  /** Whether nothing is kept of it any more. */
  released(): boolean;
  /** What it was destroyed or cancelled with, where that can be told. */
  reason(): unknown;
}

const bodyError = new Error('the body failed');

function watched(
  kind: BodyKind,
  parts: (Buffer | string)[],
  fault: BodyFault,
  slow: boolean,
  onPart: () => void,
): Watched {
  const always = { released: () => true, reason: () => undefined };
  if (kind === 'string' || kind === 'buffer') return { ...always, body: parts[0] };
  const broken = fault === 'throws' || fault === 'stuck' || fault === 'wrong part';
  const given: unknown[] = broken ? parts.slice(0, Math.ceil(parts.length / 2)) : parts;
  if (fault === 'wrong part') given.push(5);
  if (kind === 'array') return { ...always, body: given };
  let at = 0;
  /** The next part, undefined at the end. */
  const next = (): unknown => {
    onPart();
    if (at < given.length) return given[at++];
    if (fault === 'throws') throw bodyError;
    return undefined;
  };
  if (kind === 'generator' || kind === 'async') {
    let isReleased = false;
    const step = () => {
      try {
        const value = next();
        if (value === undefined) isReleased = true;
        return { done: value === undefined, value };
      } catch (error) {
        isReleased = true;
        throw error;
      }
    };
    const leave = () => {
      isReleased = true;
      return { done: true, value: undefined };
    };
    const isStuck = () => fault === 'stuck' && at === given.length;
    const body =
      kind === 'generator'
        ? { next: step, return: leave, [Symbol.iterator]: () => body }
        : {
            async next() {
              if (slow) await turn();
              return isStuck() ? new Promise(() => {}) : step();
            },
            return: async () => leave(),
            [Symbol.asyncIterator]: () => body,
          };
    return { body, released: () => isReleased, reason: () => undefined };
  }
  if (kind === 'web') {
    let [isOver, isCancelled, reason] = [false, false, undefined as unknown];
    const body = new ReadableStream(
      {
        async pull(controller) {
          if (slow) await turn();
          if (fault === 'stuck' && at === given.length) return;
          try {
            const value = next();
            if (value === undefined) {
              controller.close();
              isOver = true;
            } else {
              controller.enqueue(value);
            }
          } catch (error) {
            isOver = true;
            controller.error(error);
          }
        },
        cancel(why) {
          isCancelled = true;
          reason = why;
        },
      },
      { highWaterMark: 0 },
    );
    return { body, released: () => isCancelled || (isOver && !body.locked), reason: () => reason };
  }
  const options = {
    read(this: Readable) {
      const give = () => {
        if (fault === 'stuck' && at === given.length) return;
        try {
          this.push(next() ?? null);
        } catch (error) {
          this.destroy(error as Error);
        }
      };
      if (slow) setImmediate(give);
      else give();
    },
  };
  const body =
    kind === 'node' ? new Readable(options) : (new userland.Readable(options as never) as unknown as Readable);
  return { body, released: () => body.destroyed, reason: () => body.errored ?? undefined };
}

class Value {
  readonly message: unknown;
  constructor(message: unknown) {
    this.message = message;
  }
}

const badValue = new Error('the value is bad');

/** A message as it is written, what is to become of it, and its body. */
interface Made {
  message: unknown;
  encoding: Encoding | undefined;
  /** The whole frame, or what of it may come out before it fails. */
  frame: Buffer;
  fault: BodyFault | 'too long' | 'bad value';
  watched: Watched | undefined;
}

class EncoderRig extends Rig {
  readonly settings: Settings;
  readonly isReference: boolean;
  /** Writes after `end` or `destroy` are left out. */
  skipsLate = false;
  out = 0;
  #field = decimalField();
  /** All frames that must come out, and where each begins. */
  #due: { at: number; frame: Buffer }[] = [];
  due = 0;
  /** The write that can't be sent: its number, how it fails, and how many bytes of it may come out. */
  doomed: { number: number; fault: Made['fault']; partly: Buffer } | undefined;
  /** A write came too late and destroyed the stream. */
  tooLate = false;
  #owesDrain = false;
  #corkedAt: number | undefined;
  #isEnding = false;
  readonly bodies: { watched: Watched; write: number; sent: boolean; fault: Made['fault']; late: boolean }[] = [];
  #kept: { chunk: unknown; at: number }[] = [];
  #number = 0;

  constructor(settings: Settings, reference = false) {
    const { field, readableHighWaterMark, writableHighWaterMark, encode } = settings;
    const decimal = decimalField();
    const options: LengthPrefixEncoderOptions = {
      maxPayloadLength: LIMIT,
      readableHighWaterMark,
      writableHighWaterMark,
      ...(field === 'typed'
        ? { lengthField: 'uint16be', lengthFieldOffset: 1, header: Buffer.from('070000', 'hex') }
        : { lengthField: field === 'decimal' ? decimal : field }),
    };
    if (encode) {
      options.encode = (value: unknown) => {
        if (value instanceof Value) return value.message as Buffer;
        throw badValue;
      };
    }
    super(reference ? new Reference(settings) : (new LengthPrefixEncoder(options) as unknown as Transform));
    this.#field = decimal;
    this.settings = settings;
    this.isReference = reference;
    if (settings.hex) this.stream.setEncoding('hex');
  }

  protected override get isInOrder(): boolean {
    return !this.isReference;
  }

  get #unit(): number {
    return this.settings.hex ? 2 : 1;
  }

  /** The bytes that came out or may be read. */
  get #handedOn(): number {
    return (this.out + this.stream.readableLength) / this.#unit;
  }

  protected override onPiece(piece: unknown): void {
    const isRight = this.settings.hex ? typeof piece === 'string' : Buffer.isBuffer(piece);
    if (!isRight) {
      this.wrong.push(`hands out ${typeof piece === 'string' ? 'a string' : 'bytes'}`);
      return;
    }
    const { length } = piece as Buffer | string;
    if (length === 0) this.wrong.push('hands out nothing');
    if (!this.isSame(piece, this.out)) this.wrong.push(`wrong bytes from ${this.out}, ${length} of them`);
    if (this.#kept.length < 40) this.#kept.push({ chunk: piece, at: this.out });
    this.out += length;
  }

  protected override isSame(chunk: unknown, at: number): boolean {
    const { hex } = this.settings;
    const text = hex ? (typeof chunk === 'string' ? chunk : (chunk as Buffer).toString('latin1')) : '';
    const bytes = hex ? Buffer.alloc(0) : (chunk as Buffer);
    const length = hex ? text.length : bytes.length;
    const unit = this.#unit;
    let place = at;
    for (const { at: start, frame } of this.#parts()) {
      const [from, to] = [start * unit, (start + frame.length) * unit];
      if (to <= place) continue;
      if (from >= at + length) break;
      const end = Math.min(to, at + length);
      if (hex) {
        const due = frame.subarray(Math.floor((place - from) / 2), Math.ceil((end - from) / 2)).toString('hex');
        const odd = (place - from) % 2;
        if (due.slice(odd, odd + end - place) !== text.slice(place - at, end - at)) return false;
      } else if (!frame.subarray(place - from, end - from).equals(bytes.subarray(place - at, end - at))) {
        return false;
      }
      place = end;
    }
    return place === at + length;
  }

  *#parts() {
    yield* this.#due;
    if (this.doomed !== undefined) yield { at: this.due, frame: this.doomed.partly };
  }

  protected override onError(error: unknown): void {
    if (this.destroyedWith !== undefined || this.tooLate) return;
    if (this.out < this.due * this.#unit) this.wrong.push(`the error overtook a message: ${codeOf(error)}`);
  }

  protected override onDrain(): void {
    const { writableLength, writableHighWaterMark, writableEnded, destroyed } = this.stream;
    if (writableLength >= writableHighWaterMark) {
      this.wrong.push(`'drain' at ${writableLength} of ${writableHighWaterMark}`);
    }
    if (writableEnded || destroyed) this.wrong.push("'drain' after the end");
    if (!this.#owesDrain) this.wrong.push("'drain' that no write asked for");
    this.#owesDrain = false;
  }

  protected override watch(when: string): void {
    const { stream } = this;
    if (stream.writableLength < 0) this.wrong.push(`writableLength ${stream.writableLength} ${when}`);
    if (stream.destroyed || this.doomed !== undefined) return;
    if (stream.writableCorked > 0 && this.#corkedAt !== undefined && this.#handedOn > this.#corkedAt) {
      this.wrong.push(`corked bytes leave ${when}`);
    }
    if (this.#owesDrain && !stream.writableEnded && !stream.writableNeedDrain) {
      this.wrong.push(`owes a 'drain' that writableNeedDrain does not know ${when}`);
    }
  }

  protected override onWritten(write: Write): void {
    if (write.late) this.wrong.push(`callback ${write.number} succeeds, too late`);
    if (this.doomed !== undefined && write.number >= this.doomed.number) {
      this.wrong.push(`callback ${write.number} succeeds behind what failed`);
    }
    if (!this.stream.destroyed && this.#handedOn < write.end) {
      this.wrong.push(`callback ${write.number} at ${this.#handedOn} of ${write.end}`);
    }
  }

  get #isLate(): boolean {
    const { stream } = this;
    return this.isEnded || (this.#isEnding && stream.writableEnded) || stream.destroyed;
  }

  protected override isForLate(step: unknown): boolean {
    const own = (step as EncoderStep).do;
    return own.startsWith('write') || own === 'end' || own === 'destroy';
  }

  protected override own(any: unknown): void {
    const step = any as EncoderStep;
    if (step.do === 'write') this.#write(this.#make(step.piece), step.piece.callback);
    else if (step.do === 'write too long') this.#write(this.#tooLong(step.as, step.body), 'alone');
    else if (step.do === 'write bad value') this.#writeBadValue();
    else if (step.do === 'write nothing') this.#writeNothing(step.value);
    else if (step.do === 'end') this.#end(step);
  }

  override run(step: unknown): void {
    const { do: what, step: within } = step as { do: string; step?: EncoderStep };
    // Node's own fails at a read() inside a callback that comes inside another read().
    if (this.isReference && what === 'in' && within?.do === 'read') return;
    if ((step as EncoderStep).do === 'cork' && this.stream.writableCorked === 0) this.#corkedAt = this.due;
    super.run(step);
  }

  #make(piece: Piece): Made {
    const { field, encode } = this.settings;
    const { as, fault, encoding } = piece;
    const limit = field === 'uint16be' || field === 'typed' ? 65_535 : LIMIT;
    let bytes = payload(this.#number++, Math.min(piece.size, limit - 1));
    if (encoding === 'utf8') bytes = bytes.map((byte) => byte & 0x7f) as Buffer;
    const cuts = [...new Set(piece.cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
    const cutUp = [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i]));
    const parts = cutUp.map((part, i) => (piece.texts && i % 2 === 0 ? part.toString(encoding) : part));
    const made: Made = {
      message: bytes,
      encoding: piece.texts || as === 'string' || piece.body === 'string' ? encoding : undefined,
      frame: Buffer.alloc(0),
      fault: 'none',
      watched: undefined,
    };
    let { length } = bytes;
    if (as === 'array') made.message = Uint8Array.from(bytes);
    else if (as === 'foreign') made.message = foreign(bytes);
    else if (as === 'string') made.message = bytes.toString(encoding);
    else if (as === 'parts') made.message = length === 0 ? [] : parts;
    else if (as === 'body') {
      made.fault = fault;
      const isIterated = piece.body !== 'string' && piece.body !== 'buffer';
      if (!isIterated && fault !== 'short' && fault !== 'long' && fault !== 'bad length') made.fault = 'none';
      if (piece.body === 'array' && (fault === 'throws' || fault === 'stuck')) made.fault = 'none';
      if ((piece.body === 'node' || piece.body === 'userland') && fault === 'wrong part') made.fault = 'throws';
      if (made.fault === 'long' && length === 0) made.fault = 'none';
      if (made.fault === 'stuck' && piece.body === 'generator') made.fault = 'throws';
      if (made.fault === 'short') length++;
      if (made.fault === 'long') length--;
      const isStream = piece.body === 'node' || piece.body === 'userland';
      const given = piece.body === 'string' ? [bytes.toString(encoding)] : isStream ? cutUp : parts;
      if (piece.body === 'buffer') given.splice(0, given.length, bytes);
      made.watched = watched(piece.body, given, made.fault, piece.slow, () => this.reach('body'));
      made.message = { length: made.fault === 'bad length' ? -1 : length, body: made.watched.body };
    }
    made.frame = Buffer.concat([headOf(field, length), bytes.subarray(0, length)]);
    if (encode) made.message = new Value(made.message);
    // A wrong value is the caller's mistake, and thrown; what `encode` makes of a good one is not.
    if (encode && made.fault === 'bad length') Object.assign(made, { fault: 'bad value', frame: Buffer.alloc(0) });
    return made;
  }

  #tooLong(as: 'buffer' | 'string' | 'parts' | 'body', body: BodyKind): Made {
    const bytes = Buffer.alloc(LIMIT + 1);
    const made: Made = {
      message: bytes,
      encoding: undefined,
      frame: Buffer.alloc(0),
      fault: 'too long',
      watched: undefined,
    };
    if (as === 'string') made.message = bytes.toString('latin1');
    if (as === 'parts') made.message = [bytes.subarray(0, 100_000), bytes.subarray(100_000)];
    if (as === 'body') {
      made.watched = watched(body, [bytes], 'none', false, () => this.reach('body'));
      made.message = { length: bytes.length, body: made.watched.body };
    }
    if (this.settings.encode) made.message = new Value(made.message);
    return made;
  }

  #writeBadValue(): void {
    if (!this.settings.encode) return;
    const frame = Buffer.alloc(0);
    this.#write(
      { message: { bad: true }, encoding: undefined, frame, fault: 'bad value', watched: undefined },
      'alone',
    );
  }

  #writeNothing(value: null | undefined | number): void {
    if (this.settings.encode && value !== null) return;
    // In front of all else, whatever became of the stream.
    const code = value === null ? 'ERR_STREAM_NULL_VALUES' : 'ERR_INVALID_ARG_TYPE';
    try {
      this.stream.write(value, (error) => this.wrong.push(`what is nothing is called back: ${error}`));
      this.wrong.push(`write(${value}) is taken`);
    } catch (error) {
      if (codeOf(error) !== code) this.wrong.push(`write(${value}) throws ${error}`);
    }
  }

  /** Takes note of a message that is about to be written. */
  #note(made: Made, late: boolean): number {
    const { doomed } = this;
    const number = this.writes.length;
    if (made.watched !== undefined) {
      // What is wrapped in a value that comes too late is never seen.
      const hidden = this.settings.encode && (late || doomed !== undefined);
      const sent = !late && doomed === undefined && made.fault === 'none';
      if (!hidden) this.bodies.push({ watched: made.watched, write: number, sent, fault: made.fault, late });
    }
    if (late || doomed !== undefined || made.fault === 'bad length') return this.due;
    if (made.fault === 'none') {
      this.#due.push({ at: this.due, frame: made.frame });
      this.due += made.frame.length;
    } else {
      this.doomed = { number, fault: made.fault, partly: made.frame };
    }
    return this.due;
  }

  #write(made: Made, how: Piece['callback']): void {
    const late = this.#isLate;
    if (late && this.skipsLate) return;
    const { stream } = this;
    const before = stream.writableLength;
    const wasDoomed = this.doomed !== undefined;
    const end = this.#note(made, late);
    const bad = made.fault === 'bad length';
    const hasCallback = !bad && (how === 'alone' || how === 'undefined' || how === 'null');
    const { encoding } = made;
    const args: unknown[] = [made.message];
    let write: Write | undefined;
    if (hasCallback || !bad) {
      const [record, callback] = this.written(end, late, hasCallback);
      write = record;
      if (!hasCallback) {
        if (encoding !== undefined) args.push(encoding);
        if (how === 'no function') {
          if (encoding === undefined) args.push(undefined);
          args.push(null);
        }
      } else {
        if (encoding !== undefined) args.push(encoding);
        else if (how !== 'alone') args.push(how === 'null' ? null : undefined);
        args.push(callback);
      }
    }
    const wasTooLate = this.tooLate;
    if (late && !stream.destroyed) this.tooLate = true;
    const isBody = made.watched !== undefined;
    let returned: boolean;
    try {
      returned = (stream.write as (...args: unknown[]) => boolean).apply(stream, args);
    } catch (error) {
      if (bad && !late && codeOf(error) === 'ERR_OUT_OF_RANGE') return;
      // Arguments are looked at first, or last.
      if (bad && late) {
        this.tooLate = wasTooLate;
        return;
      }
      this.wrong.push(`write ${write?.number} throws ${(error as Error).stack}`);
      return;
    }
    if (bad) {
      if (!late && !wasDoomed) this.wrong.push('a length of -1 is taken');
      return;
    }
    if (late || this.doomed !== undefined || stream.destroyed) {
      const isKnown = late || (wasDoomed && ['too long', 'bad value'].includes(this.doomed!.fault));
      if (returned && isKnown) this.wrong.push('write returns true where nothing is sent');
      return;
    }
    if (!isBody) {
      // Newer Writables judge it by what is left after the write, older ones by what was there with it.
      const { writableHighWaterMark: mark, writableLength: after } = stream;
      const had = before + made.frame.length < mark;
      const has = after < mark || after === 0;
      if (returned ? !had && !has : had && has) {
        const sum = `${before} + ${made.frame.length} of ${mark}, then ${after}`;
        this.wrong.push(`write ${write?.number} returns ${returned} at ${sum}`);
      }
    }
    if (!returned) this.#owesDrain = true;
  }

  #end(step: EncoderStep & { do: 'end' }): void {
    const { stream } = this;
    const late = this.#isLate;
    if (late && this.skipsLate) return;
    const args: unknown[] = [];
    if (step.during !== undefined) {
      const { place, piece } = step.during;
      this.run({ do: 'in', place, step: { do: 'write', piece } });
    }
    if (step.piece !== undefined) {
      const piece: Piece = step.piece;
      const made = this.#make(piece);
      if (made.fault === 'bad length') {
        // Nothing is done then, and the end is still to come.
        this.#note(made, late);
        if (!late && this.doomed === undefined) {
          try {
            stream.end(made.message);
            this.wrong.push('end takes a length of -1');
          } catch (error) {
            if (codeOf(error) !== 'ERR_OUT_OF_RANGE') this.wrong.push(`end throws ${error}`);
          }
        } else {
          this.bodies.pop();
        }
        this.#end({ ...step, piece: undefined, during: undefined });
        return;
      }
      const end = this.#note(made, late);
      this.written(end, late, false);
      if (late && !stream.destroyed) this.tooLate = true;
      args.push(made.message);
      if (made.encoding !== undefined) args.push(made.encoding);
      else if (step.callback === 'undefined' || step.callback === 'encoding') args.push(undefined);
      else if (step.callback === 'null') args.push(null);
    } else if (step.callback === 'undefined') {
      args.push(undefined, undefined);
    } else if (step.callback === 'null') {
      args.push(null, null);
    } else if (step.callback === 'encoding') {
      args.push(null, 'utf8');
    }
    const [end, callback] = step.callback === 'none' ? [] : this.ending(step.piece !== undefined);
    args.push(callback);
    this.#isEnding = true;
    try {
      (stream.end as (...args: unknown[]) => unknown).apply(stream, args);
    } catch (error) {
      this.wrong.push(`end throws ${(error as Error).stack}`);
    }
    this.#isEnding = false;
    this.isEnded = true;
    if (end !== undefined && stream.destroyed) end.isForgotten = true;
    if (!stream.writableEnded && !stream.destroyed && this.doomed === undefined) this.wrong.push('end does not end');
  }

  /** Before the end: all that was written is out, taken and called back, and each drain was there. */
  expectAllOut(reader: FinalReader): void {
    expect(this.wrong.join('; ')).to.equal('');
    const { stream } = this;
    if (stream.destroyed || this.doomed !== undefined) return;
    const [out, due] = [this.out, this.due * this.#unit];
    const left = 'count' in reader && !this.isEnded ? stream.readableLength : 0;
    expect(out + left, 'units out').to.equal(due);
    if ('count' in reader && left > 0) expect(left).to.be.lessThan(reader.count);
    expect(stream.writableLength, 'writableLength').to.equal(0);
    for (const { number, calls, error, hasCallback } of this.writes) {
      if (!hasCallback) continue;
      expect(calls, `calls of callback ${number}`).to.equal(1);
      expect(error, `error of callback ${number}`).to.equal(undefined);
    }
    if (!this.isEnded) expect(this.#owesDrain, "a missing 'drain'").to.equal(false);
  }

  /** At the very end: nothing lost, nothing left over, the end that is due, and all bodies let go of. */
  expectDone(reader: FinalReader): void {
    expect(this.wrong.join('; ')).to.equal('');
    const { stream, doomed, destroyedWith, tooLate } = this;
    const due = this.due * this.#unit;
    const wasCut = destroyedWith !== undefined || tooLate;
    if (!wasCut) {
      if (doomed === undefined) expect(this.error, 'error').to.equal(undefined);
      expect(this.out, 'units out').to.be.at.least(due);
      if (doomed === undefined || doomed.fault === 'too long' || doomed.fault === 'bad value') {
        expect(this.out, 'units out').to.equal(due);
      }
    }
    for (const { chunk, at } of this.#kept) expect(this.isSame(chunk, at), `the piece at ${at}, later`).to.equal(true);

    for (const { number, calls, error, hasCallback, late } of this.writes) {
      if (!hasCallback) continue;
      expect(calls, `calls of callback ${number}`).to.equal(1);
      const fails = late || (doomed !== undefined && number >= doomed.number);
      if (fails) expect(error, `error of callback ${number}`).to.be.instanceOf(Error);
      else if (!wasCut) expect(error, `error of callback ${number}`).to.equal(undefined);
      else if (error !== undefined && doomed === undefined) {
        // As Writable fails what is buffered.
        if (destroyedWith?.error !== undefined)
          expect(error, `error of callback ${number}`).to.equal(destroyedWith.error);
        else if (tooLate) expect(codeOf(error)).to.equal('ERR_STREAM_WRITE_AFTER_END');
        else expect(codeOf(error)).to.equal('ERR_STREAM_DESTROYED');
      }
    }
    this.expectEnds(!wasCut && doomed === undefined);

    if (!wasCut) {
      if (doomed !== undefined) {
        this.#expectFailure(doomed);
      } else {
        expect(this.events).to.have.members(['finish', 'end', 'close']);
        expect(this.events.at(-1)).to.equal('close');
      }
    } else {
      expect(this.events.filter((event) => event === 'close')).to.have.length(1);
      if (doomed === undefined) {
        if (tooLate) expect(codeOf(this.error)).to.equal('ERR_STREAM_WRITE_AFTER_END');
        else if (destroyedWith!.error !== undefined) expect(this.error).to.equal(destroyedWith!.error);
      }
    }
    expect(stream.destroyed, 'destroyed').to.equal(true);
    this.#expectBodies();
    if (this.settings.field === 'decimal' && !this.isReference && !wasCut && doomed === undefined) {
      expect(this.#field.calls, 'calls of LengthField.write').to.equal(this.#due.length);
    }
    if (!wasCut && this.final?.isAlone && !this.isNested) this.#expectFinal(reader);
  }

  #expectFailure({ number, fault }: { number: number; fault: Made['fault'] }): void {
    const { error } = this;
    expect(this.events.filter((event) => event !== 'finish')).to.deep.equal(['error', 'close']);
    const own = this.writes[number]!;
    if (own.hasCallback) expect(own.error).to.equal(error);
    if (fault === 'throws') {
      expect(error).to.equal(bodyError);
    } else if (fault === 'wrong part') {
      expect(codeOf(error)).to.equal('ERR_INVALID_ARG_TYPE');
    } else {
      expect(error).to.be.instanceOf(FrameError);
      const code = { short: 'ERR_FRAME_TRUNCATED', 'bad value': 'ERR_FRAME_CORRUPT' } as Record<string, string>;
      expect(codeOf(error)).to.equal(code[fault] ?? 'ERR_FRAME_TOO_LONG');
      const { cause } = error as FrameError;
      if (fault === 'bad value' && cause !== badValue) expect(codeOf(cause)).to.equal('ERR_OUT_OF_RANGE');
    }
  }

  #expectBodies(): void {
    for (const { watched, write, fault, late } of this.bodies) {
      expect(watched.released(), `the body of write ${write} is let go of`).to.equal(true);
      const reason = watched.reason();
      if (reason === undefined) continue;
      if (fault === 'too long' && !late) expect(reason).to.be.instanceOf(Error);
      else if (reason !== bodyError) expect(reason).to.be.instanceOf(Error);
    }
  }

  /** What the last reader got by itself is all that came out for it. */
  #expectFinal(reader: FinalReader): void {
    const { final } = this;
    if (reader.read === 'pipe' || reader.read === 'two sinks') {
      for (const sink of final!.sinks) {
        let at = this.outAtFinal;
        for (const piece of sink.pieces) {
          expect(piece.at, 'the place of a piece').to.equal(at);
          at += (piece.chunk as Buffer | string).length;
        }
        expect(at, 'what a sink got').to.equal(this.out);
        if (this.doomed === undefined) expect(sink.stream.writableFinished, 'a sink has ended').to.equal(true);
      }
      return;
    }
    // These drop what they hold for an error.
    if (this.doomed !== undefined && ['toArray', 'web', 'compose'].includes(reader.read)) return;
    let at = this.outAtFinal;
    for (const piece of final!.got) {
      const bytes = typeof piece === 'string' ? piece : Buffer.from(piece as Uint8Array);
      expect(this.isSame(bytes, at), 'what the reader got').to.equal(true);
      at += bytes.length;
    }
    expect(at, 'what the reader got').to.equal(this.out);
    const promised = ['iterator', 'slow iterator', 'toArray', 'map', 'compose', 'web', 'pipeline'];
    if (promised.includes(reader.read)) {
      expect(final!.isDone, 'the reader is done').to.equal(true);
      if (this.doomed === undefined) expect(final!.error).to.equal(undefined);
      else expect(final!.error).to.be.instanceOf(Error);
    }
  }
}

const PlainTransform = (readsOn ? NodeTransform : userland.Transform) as typeof NodeTransform;

/** A plain Transform, whose writes are whole frames: the checks have to hold for it. */
class Reference extends PlainTransform {
  readonly #settings: Settings;
  readonly #bodies = new Map<Buffer, { length: number; body: AsyncIterable<Buffer | string>; encoding: Encoding }>();

  constructor(settings: Settings) {
    const { readableHighWaterMark, writableHighWaterMark } = settings;
    super({ readableHighWaterMark, writableHighWaterMark });
    this.#settings = settings;
  }

  #frame(message: unknown, encoding: unknown): Buffer {
    const own = message instanceof Value ? message.message : message;
    const as = typeof encoding === 'string' ? (encoding as Encoding) : 'utf8';
    const bytesOf = (part: unknown) =>
      typeof part === 'string' ? Buffer.from(part, as) : Buffer.from(part as Uint8Array);
    if (typeof own === 'object' && own !== null && 'body' in own) {
      const { length, body } = own as { length: number; body: AsyncIterable<Buffer> };
      const isOne = typeof body === 'string' || Buffer.isBuffer(body);
      const head = headOf(this.#settings.field, length);
      this.#bodies.set(head, { length, body: (isOne ? [body] : body) as AsyncIterable<Buffer>, encoding: as });
      return head;
    }
    const bytes = Array.isArray(own) ? Buffer.concat(own.map(bytesOf)) : bytesOf(own);
    return Buffer.concat([headOf(this.#settings.field, bytes.length), bytes]);
  }

  override write(...args: any[]): boolean {
    if (args[0] === null || args[0] === undefined || typeof args[0] === 'number') {
      return super.write(args[0], args[1]);
    }
    const [encoding, callback] = typeof args[1] === 'function' ? [undefined, args[1]] : [args[1], args[2]];
    return super.write(this.#frame(args[0], encoding), 'utf8', callback);
  }

  override end(...args: any[]): this {
    const callback = args.find((arg) => typeof arg === 'function');
    if (args[0] === null || args[0] === undefined || args[0] === callback) return super.end(callback);
    return super.end(this.#frame(args[0], args[1]), 'utf8', callback);
  }

  override _transform(
    chunk: Buffer,
    _encoding: string,
    callback: (error?: Error | null, data?: unknown) => void,
  ): void {
    const source = this.#bodies.get(chunk);
    if (source === undefined) {
      callback(null, chunk);
      return;
    }
    void (async () => {
      const parts = [chunk];
      for await (const part of source.body) {
        parts.push(typeof part === 'string' ? Buffer.from(part, source.encoding) : part);
      }
      process.nextTick(callback, null, Buffer.concat(parts));
    })();
  }
}

const sizes = fc.oneof(
  { weight: 10, arbitrary: fc.nat(30) },
  { weight: 3, arbitrary: fc.nat(5000) },
  { weight: 1, arbitrary: fc.integer({ min: 16_376, max: 16_388 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65_528, max: 65_540 }) },
  { weight: 2, arbitrary: fc.integer({ min: 65_536, max: 150_000 }) },
);

const pieces = (faults: BodyFault[]): fc.Arbitrary<Piece> =>
  fc.record({
    as: fc.constantFrom(
      ...(['buffer', 'buffer', 'buffer', 'array', 'foreign', 'string', 'parts', 'parts', 'body', 'body'] as const),
    ),
    size: sizes,
    encoding: fc.constantFrom<Encoding>('utf8', 'hex', 'latin1', 'base64'),
    cuts: fc.array(fc.oneof(fc.nat(40), fc.nat(150_000)), { maxLength: 4 }),
    texts: fc.boolean(),
    body: fc.constantFrom<BodyKind>('string', 'buffer', 'array', 'generator', 'async', 'node', 'userland', 'web'),
    fault: fc.constantFrom(...faults),
    slow: fc.boolean(),
    callback: fc.constantFrom(...(['alone', 'alone', 'alone', 'undefined', 'null', 'none', 'no function'] as const)),
  });

const endings = (faults: BodyFault[]): fc.Arbitrary<EncoderStep & { do: 'end' }> =>
  fc.record({
    do: fc.constant('end' as const),
    piece: fc.option(pieces(faults), { nil: undefined, freq: 2 }),
    callback: fc.constantFrom(...(['none', 'alone', 'undefined', 'null', 'encoding'] as const)),
    during: fc.option(
      fc.record({
        place: fc.constantFrom(...(['data', 'data', 'readable', 'sink', 'body'] as const)),
        piece: pieces(faults),
      }),
      { nil: undefined, freq: 1 },
    ),
  });

function stepsOf(faults: BodyFault[], others: fc.WeightedArbitrary<EncoderStep>[]): fc.Arbitrary<Steps<EncoderStep>[]> {
  const write = fc.record({ do: fc.constant('write' as const), piece: pieces(faults) });
  const now: fc.Arbitrary<EncoderStep> = fc.oneof(
    { weight: 8, arbitrary: write },
    { weight: 4, arbitrary: readerSteps },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('write nothing' as const),
        value: fc.constantFrom(null, undefined, 5),
      }),
    },
    ...others,
  );
  return fc.array(
    fc.oneof(
      { weight: 10, arbitrary: now },
      { weight: 4, arbitrary: timeSteps },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('in' as const), place: places, step: now }) },
    ),
    { maxLength: 24, size: 'max' },
  );
}

const settings: fc.Arbitrary<Settings> = fc.record({
  field: fc.constantFrom<Field>('uint32le', 'uint32le', 'uint16be', 'varint', 'decimal', 'typed'),
  readableHighWaterMark: highWaterMarks,
  writableHighWaterMark: highWaterMarks,
  encode: fc.boolean(),
  hex: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

const whole: BodyFault[] = ['none'];
const broken: BodyFault[] = ['none', 'none', 'none', 'throws', 'short', 'long', 'wrong part', 'bad length'];

const wellRun: fc.Arbitrary<Run> = fc.record({
  settings,
  steps: stepsOf(whole, [{ weight: 1, arbitrary: endings(whole) }]),
  reader: finalReaders,
  ending: endings(whole),
  early: fc.boolean(),
});

const faulty: fc.WeightedArbitrary<EncoderStep>[] = [
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('write too long' as const),
      as: fc.constantFrom('buffer' as const, 'string' as const, 'parts' as const, 'body' as const),
      body: fc.constantFrom<BodyKind>('buffer', 'array', 'generator', 'async', 'node', 'userland', 'web'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'write bad value' as const }) },
];

const faultyRun: fc.Arbitrary<Run> = fc.record({
  settings,
  steps: stepsOf(broken, [...faulty, { weight: 1, arbitrary: endings(broken) }]),
  reader: finalReaders,
  ending: endings(broken),
  early: fc.boolean(),
});

const destroyedRun: fc.Arbitrary<Run> = fc.record({
  settings,
  steps: stepsOf(
    [...broken, 'stuck'],
    [...faulty, { weight: 1, arbitrary: endings(broken) }, { weight: 1, arbitrary: destroying }],
  ),
  reader: finalReaders,
  ending: destroying as fc.Arbitrary<EncoderStep>,
  early: fc.boolean(),
});

async function play(rig: EncoderRig, { steps, reader, ending, early }: Run): Promise<void> {
  await rig.all(steps);
  expect(rig.wrong.join('; ')).to.equal('');
  const isEnd = ending.do === 'end';
  if (early && !(isEnd && rig.isEnded)) rig.run(ending);
  if (isEnd || !early) {
    await rig.readAll(reader);
    rig.expectAllOut(reader);
  }
  if (!early && !(isEnd && rig.isEnded)) rig.run(ending);
  await rig.settle();
  if ('count' in reader && rig.doomed !== undefined && !rig.stream.destroyed) {
    rig.takeRest();
    await rig.settle();
  }
  rig.expectDone(reader);
}

describe('any use of an encoder', function () {
  this.timeout(120_000);

  it('is judged by rules that a plain Transform keeps', () =>
    fc.assert(
      fc.asyncProperty(wellRun, (run) => {
        const rig = new EncoderRig(run.settings, true);
        rig.skipsLate = true;
        return play(rig, run);
      }),
      { numRuns: runs(80) },
    ));

  it('sends exactly the frames, calls back in order, tells of room when there is some, and ends', () =>
    fc.assert(
      fc.asyncProperty(wellRun, (run) => {
        const rig = new EncoderRig(run.settings);
        rig.skipsLate = true;
        return play(rig, run);
      }),
      { numRuns: runs(240) },
    ));

  it('fails at a message that can not be sent, behind all messages before it', () =>
    fc.assert(
      fc.asyncProperty(faultyRun, (run) => play(new EncoderRig(run.settings), run)),
      { numRuns: runs(150) },
    ));

  it('calls everything back once and lets go of all bodies, destroyed at any moment', () =>
    fc.assert(
      fc.asyncProperty(destroyedRun, (run) => play(new EncoderRig(run.settings), run)),
      { numRuns: runs(150) },
    ));
});
