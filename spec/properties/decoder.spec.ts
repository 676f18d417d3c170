import { Buffer } from 'node:buffer';
import { type Readable, Transform } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  FrameError,
  type LengthField,
  LengthPrefixDecoder,
  type LengthPrefixDecoderOptions,
  type StreamedMessage,
} from '../../lib/index.js';
import { octetCount, varintOf } from '../support/fields.js';
import { runs } from '../support/runs.js';
import { codeOf } from '../support/streams.js';
import {
  type CommonStep,
  type Destroying,
  destroying,
  type FinalReader,
  finalReaders,
  payload,
  places,
  Rig,
  readerSteps,
  type Steps,
  timeSteps,
  turns,
  type Write,
} from './stress.js';

type Field = 'uint32le' | 'uint16be' | 'varint' | 'decimal' | 'kept' | 'counting';
type Mode = 'plain' | 'copy' | 'batch' | 'batch copy' | 'decode' | 'decode copy' | 'decode batch' | 'stream';

/** How a body is read: from when on, in which way, how many parts of it, and what then. */
interface Reading {
  how: 'data' | 'iterate' | 'readable' | 'poll' | 'by bytes' | 'look';
  after: number;
  parts: number;
  leaving: 'destroy' | 'destroy with an error';
  slow: boolean;
}

interface Settings {
  field: Field;
  mode: Mode;
  sizes: number[];
  fault: 'none' | 'too long' | 'corrupt' | 'decode' | 'listener';
  /** Which message can't be decoded, or which oversize event throws, and what. */
  at: number;
  thrown: 'error' | 'text' | 'null' | 'undefined' | 'zero';
  skip: boolean;
  readableHighWaterMark: number;
  writableHighWaterMark: number;
  encoding: 'utf8' | 'hex' | 'latin1' | undefined;
  readings: Reading[];
}

type DecoderStep =
  | CommonStep
  | Destroying
  | { do: 'write'; count: number }
  | { do: 'write to'; past: number }
  | { do: 'end'; rest: boolean; callback: 'none' | 'alone' | 'undefined' | 'null' };

interface Run {
  settings: Settings;
  steps: Steps<DecoderStep>[];
  reader: FinalReader;
  ending: DecoderStep;
  early: boolean;
}

const decimal: LengthField = { ...octetCount, maxWidth: 9 };

function headOf(field: Field, length: number): Buffer {
  if (field === 'decimal') return Buffer.from(`${length} `);
  if (field === 'varint') return varintOf(length);
  if (field === 'uint16be') {
    const head = Buffer.alloc(2);
    head.writeUInt16BE(length);
    return head;
  }
  const head = Buffer.alloc(4);
  head.writeUInt32LE(field === 'counting' ? length + 4 : length);
  return head;
}

const formats: Record<Field, LengthPrefixDecoderOptions> = {
  uint32le: {},
  uint16be: { lengthField: 'uint16be' },
  varint: { lengthField: 'varint' },
  decimal: { lengthField: decimal },
  kept: { initialBytesToStrip: 0 },
  counting: { lengthAdjustment: -4 },
};

/** Lengths that can't be right, or that are too great. */
const corrupt: Partial<Record<Field, Buffer>> = {
  varint: Buffer.alloc(10, 0xff),
  decimal: Buffer.from('x'),
  counting: Buffer.from([3, 0, 0, 0]),
};

interface Message {
  readonly payload: Buffer;
  /** Where its head ends, and where it does. */
  readonly known: number;
  readonly end: number;
}

/** A whole input, and what must become of it. */
interface Input {
  readonly options: LengthPrefixDecoderOptions;
  readonly bytes: Buffer;
  readonly messages: Message[];
  /** Payloads to pass over: what the event tells, and the byte at which that is known. */
  readonly oversize: { readonly length: number; readonly position: number; readonly known: number }[];
  /** The byte at which the fault is known, and its code; where a function of the user's threw there is none. */
  readonly fault:
    | { readonly at: number; readonly code: string | undefined; readonly isRight: (error: unknown) => boolean }
    | undefined;
  readonly borders: number[];
  readonly thrower: { readonly index: number; readonly value: unknown } | undefined;
}

const decodeError = new Error('not to be decoded');
const listenerError = new Error('the listener fails');

function inputOf(settings: Settings): Input {
  const { field, mode, sizes, skip, at, readableHighWaterMark, writableHighWaterMark } = settings;
  const maxPayloadLength = skip ? 2000 : 60_000;
  const pieces: Buffer[] = [];
  const messages: Message[] = [];
  const oversize: { length: number; position: number; known: number }[] = [];
  const borders = [0];
  let place = 0;
  for (const [number, size] of sizes.entries()) {
    const head = headOf(field, size);
    const bytes = payload(number, size);
    pieces.push(head, bytes);
    const known = place + head.length;
    if (size > maxPayloadLength) oversize.push({ length: size, position: place, known });
    place = known + size;
    borders.push(place);
    if (size <= maxPayloadLength) {
      messages.push({ payload: field === 'kept' ? Buffer.concat([head, bytes]) : bytes, known, end: place });
    }
  }
  let fault: Input['fault'];
  let thrower: Input['thrower'];
  const isFrameError = (code: string) => (error: unknown) => error instanceof FrameError && error.code === code;
  if (settings.fault === 'decode' && mode.startsWith('decode') && messages.length > 0) {
    const bad = at % messages.length;
    const code = 'ERR_FRAME_CORRUPT';
    const isRight = (error: unknown) => isFrameError(code)(error) && (error as FrameError).cause === decodeError;
    fault = { at: messages[bad]!.end, code, isRight };
    const { at: known } = fault;
    messages.splice(bad);
    oversize.splice(oversize.filter((one) => one.known <= known).length);
  } else if (settings.fault === 'listener' && oversize.length > 0) {
    const index = at % oversize.length;
    const values = { error: listenerError, text: 'text', null: null, undefined: undefined, zero: 0 };
    const value: unknown = values[settings.thrown];
    thrower = { index, value };
    const { known } = oversize[index]!;
    const isRight = (error: unknown) => (value ? error === value : error instanceof Error);
    fault = { at: known, code: undefined, isRight };
    messages.splice(messages.filter(({ end }) => end <= known).length);
    oversize.splice(index + 1);
  } else if (settings.fault === 'corrupt' && corrupt[field] !== undefined) {
    const head = corrupt[field];
    fault = { at: place + head.length, code: 'ERR_FRAME_CORRUPT', isRight: isFrameError('ERR_FRAME_CORRUPT') };
    pieces.push(head, Buffer.alloc(at, 1));
  } else if (settings.fault === 'too long' && !skip) {
    const head = headOf(field, 60_001);
    fault = { at: place + head.length, code: 'ERR_FRAME_TOO_LONG', isRight: isFrameError('ERR_FRAME_TOO_LONG') };
    pieces.push(head, Buffer.alloc(at, 1));
  }
  const options: LengthPrefixDecoderOptions = {
    ...formats[field],
    maxPayloadLength,
    oversize: skip ? 'skip' : 'error',
    readableHighWaterMark,
    writableHighWaterMark,
    copy: mode.endsWith('copy'),
    batch: mode.includes('batch'),
    stream: mode === 'stream',
  };
  return { options, bytes: Buffer.concat(pieces), messages, oversize, fault, borders, thrower };
}

/** A body that was handed out, and what became of it. */
interface Body {
  readonly number: number;
  readonly stream: Readable;
  readonly got: Buffer[];
  gotLength: number;
  isDestroyed: boolean;
  readonly events: string[];
  error: unknown;
}

class DecoderRig extends Rig {
  readonly settings: Settings;
  readonly input: Input;
  readonly isReference: boolean;
  skipsLate = true;
  /** Messages handed out. */
  out = 0;
  oversize = 0;
  /** Bytes written. */
  fed = 0;
  tooLate = false;
  /** The input ended inside a frame. */
  readonly bodies: Body[] = [];
  #isEnding = false;
  /** What each message is to be when it is read as text, and what is left at the end. */
  readonly #texts: string[] | undefined;
  #kept: { piece: unknown; at: number }[] = [];
  readonly #buffers = new Set<ArrayBufferLike>();

  constructor(settings: Settings, reference = false) {
    const input = inputOf(settings);
    let decoded = 0;
    const options = { ...input.options };
    if (settings.mode.startsWith('decode')) {
      options.decode = (bytes, start, end) => {
        this.reach('body');
        if (decoded++ === input.messages.length && settings.fault === 'decode') throw decodeError;
        return { hex: bytes.toString('hex', start, end) };
      };
    }
    super(reference ? new Reference(settings, input) : (new LengthPrefixDecoder(options) as unknown as Transform));
    this.settings = settings;
    this.input = input;
    this.isReference = reference;
    const { mode, encoding } = settings;
    if (encoding !== undefined && (mode === 'plain' || mode === 'copy')) {
      this.stream.setEncoding(encoding);
      const decoder = new StringDecoder(encoding);
      this.#texts = input.messages.map(({ payload }) => decoder.write(payload));
      this.#texts.push(decoder.end());
    }
    this.stream.on('oversize', (length: number, position: number) => {
      const index = this.oversize++;
      const due = input.oversize[index];
      if (due?.length !== length || due.position !== position || due.known > this.fed) {
        this.wrong.push(`'oversize' ${length} at ${position} instead of ${due?.length} at ${due?.position}`);
      }
      this.reach('body');
      if (input.thrower?.index === index) throw input.thrower.value;
    });
  }

  /** How many messages have come, whole or, in parts, with their length. */
  complete(fed: number): number {
    return this.input.messages.filter(({ end, known }) => (this.settings.mode === 'stream' ? known : end) <= fed)
      .length;
  }

  protected override onPiece(piece: unknown): void {
    const { mode } = this.settings;
    const pieces = mode.includes('batch') ? (piece as unknown[]) : [piece];
    if (pieces.length === 0) this.wrong.push('an empty batch');
    if (this.#kept.length < 60) this.#kept.push({ piece, at: this.out });
    for (const message of pieces) {
      const number = this.out++;
      if (number >= this.complete(this.fed) && !this.#isTail(number)) this.wrong.push('a message that was not written');
      else if (mode === 'stream') this.#onStreamed(message as StreamedMessage, number);
      else if (!this.#isMessage(message, number)) this.wrong.push(`message ${number} is wrong`);
      if (!mode.endsWith('copy') || !Buffer.isBuffer(message) || message.length === 0) continue;
      if (this.#buffers.has(message.buffer)) this.wrong.push(`message ${number} shares its memory`);
      this.#buffers.add(message.buffer);
    }
  }

  /** What a decoder of characters still had at the end. */
  #isTail(number: number): boolean {
    return this.#texts !== undefined && number === this.input.messages.length && this.#texts[number] !== '';
  }

  #isMessage(message: unknown, number: number): boolean {
    if (this.#texts !== undefined) return message === this.#texts[number];
    const due = this.input.messages[number]?.payload;
    if (due === undefined) return false;
    if (this.settings.mode.startsWith('decode')) return (message as { hex: string }).hex === due.toString('hex');
    return Buffer.isBuffer(message) && message.equals(due);
  }

  protected override isSame(chunk: unknown, at: number): boolean {
    if (at < 0) return false;
    const { mode } = this.settings;
    if (mode === 'stream') return (chunk as StreamedMessage).length === this.input.messages[at]?.payload.length;
    const pieces = mode.includes('batch') ? (chunk as unknown[]) : [chunk];
    return pieces.every((piece, i) => this.#isMessage(piece, at + i));
  }

  #onStreamed({ length, body }: StreamedMessage, number: number): void {
    const due = this.input.messages[number]!.payload;
    if (length !== due.length) this.wrong.push(`message ${number} is said to have ${length} bytes`);
    const { readings } = this.settings;
    const reading = readings[number % readings.length]!;
    const stream = body as unknown as Readable;
    const one: Body = { number, stream, got: [], gotLength: 0, isDestroyed: false, events: [], error: undefined };
    this.bodies.push(one);
    for (const event of ['end', 'error', 'close']) {
      stream.on(event, (error) => {
        if (one.events.includes(event)) this.wrong.push(`'${event}' of body ${number} for the second time`);
        one.events.push(event);
        if (event === 'error') one.error = error;
      });
    }
    void this.#readBody(one, reading, due);
  }

  async #readBody(body: Body, { how, after, parts, leaving, slow }: Reading, due: Buffer): Promise<void> {
    const { stream, number } = body;
    await turns(after);
    let left = parts;
    const leave = (): boolean => {
      if (left > 0) return false;
      if (!body.isDestroyed && !stream.destroyed && !body.events.includes('end')) {
        body.isDestroyed = true;
        stream.destroy(leaving === 'destroy' ? undefined : new Error('left by the test'));
      }
      return true;
    };
    const take = (chunk: Buffer): void => {
      if (!chunk.equals(due.subarray(body.gotLength, body.gotLength + chunk.length))) {
        this.wrong.push(`the bytes of message ${number} from ${body.gotLength} are wrong`);
      }
      body.gotLength += chunk.length;
      body.got.push(chunk);
      left--;
      this.reach('body');
    };
    if (leave()) return;
    if (how === 'data') {
      stream.on('data', (chunk: Buffer) => {
        if (body.isDestroyed) return;
        take(chunk);
        if (leave() || !slow) return;
        stream.pause();
        setImmediate(() => stream.resume());
      });
    } else if (how === 'readable') {
      stream.on('readable', () => {
        for (;;) {
          const chunk = stream.read();
          if (chunk === null) break;
          take(chunk);
          if (leave()) break;
        }
      });
    } else if (how === 'look' && parts < 1_000_000) {
      // It is asked for, and left with what has come.
      stream.on('readable', () => {});
      await turns(1 + parts);
      left = 0;
      leave();
    } else if (how === 'poll' || how === 'by bytes') {
      const count = 2 + Math.ceil(due.length / 100);
      while (!stream.closed && !stream.readableEnded) {
        const chunk = stream.read(how === 'poll' ? undefined : count) ?? (how === 'poll' ? null : stream.read());
        if (chunk !== null) take(chunk);
        if (leave()) return;
        // What is never closed is seen elsewhere.
        if (++this.polls > 2000) return;
        await turns(1);
      }
    } else {
      try {
        for await (const chunk of stream) {
          take(chunk);
          if (left <= 0) body.isDestroyed = true;
          if (left <= 0) break;
          if (slow) await turns(1);
        }
      } catch {
        // The body's own error, which is seen elsewhere.
      }
    }
  }

  polls = 0;

  protected override onError(error: unknown): void {
    if (this.destroyedWith !== undefined || this.tooLate) return;
    if (this.out < this.complete(this.fed)) this.wrong.push(`the error overtook a message: ${codeOf(error)}`);
  }

  protected override onDrain(): void {
    const { writableLength, writableHighWaterMark, writableEnded, destroyed } = this.stream;
    if (writableLength >= writableHighWaterMark) this.wrong.push(`'drain' at ${writableLength}`);
    if (writableEnded || destroyed) this.wrong.push("'drain' after the end");
    if (!this.#owesDrain) this.wrong.push("'drain' that no write asked for");
    this.#owesDrain = false;
  }

  #owesDrain = false;

  protected override watch(when: string): void {
    const { readableLength, readableHighWaterMark } = this.stream;
    // What is left of a character comes by itself, at the end.
    const more = this.#texts === undefined ? 0 : 1;
    if (!this.isReference && readableLength > readableHighWaterMark + more) {
      this.wrong.push(`holds ${readableLength} of ${readableHighWaterMark} ${when}`);
    }
  }

  // A Transform of Node that is destroyed calls back buffered writes before those that were done in the same tick.
  protected override get isInOrder(): boolean {
    return !this.isReference && this.destroyedWith === undefined;
  }

  protected override onWritten(write: Write): void {
    if (write.late) this.wrong.push(`callback ${write.number} succeeds, too late`);
    const { fault } = this.input;
    if (fault !== undefined && write.end >= fault.at)
      this.wrong.push(`callback ${write.number} succeeds in spite of the fault`);
    const { mode } = this.settings;
    if (mode.includes('batch') || this.stream.destroyed) return;
    if (this.out + this.stream.readableLength < this.complete(write.end)) {
      this.wrong.push(`callback ${write.number} before its messages were parsed`);
    }
  }

  protected override isForLate(step: unknown): boolean {
    const own = (step as DecoderStep).do;
    return own.startsWith('write') || own === 'end' || own === 'destroy';
  }

  protected override own(any: unknown): void {
    const step = any as DecoderStep;
    if (step.do === 'write') {
      this.#write(step.count);
    } else if (step.do === 'write to') {
      const next = this.input.borders.find((border) => border > this.fed) ?? this.fed;
      this.#write(Math.max(1, next - this.fed + step.past));
    } else if (step.do === 'end') {
      this.#end(step);
    }
  }

  get #isLate(): boolean {
    const { stream } = this;
    return this.isEnded || (this.#isEnding && stream.writableEnded) || stream.destroyed;
  }

  #take(count: number): Buffer {
    // In memory of its own, with what must not be seen around it.
    const part = this.input.bytes.subarray(this.fed, this.fed + count);
    const memory = Buffer.alloc(part.length + 16, 0xee);
    memory.set(part, 8);
    this.fed += part.length;
    return memory.subarray(8, 8 + part.length);
  }

  #write(count: number): void {
    const { stream } = this;
    const late = this.#isLate;
    if ((late && this.skipsLate) || this.fed >= this.input.bytes.length) return;
    const chunk = late ? Buffer.from('late') : this.#take(count);
    if (late && !stream.destroyed) this.tooLate = true;
    const [, callback] = this.written(this.fed, late, true);
    const before = stream.writableLength;
    const returned = stream.write(chunk, (error) => {
      callback(error);
      // With memory of their own for messages, that of the chunk is the writer's again.
      if (this.settings.mode.endsWith('copy')) chunk.fill(0xee);
    });
    if (late || stream.destroyed || (this.input.fault !== undefined && this.fed >= this.input.fault.at)) return;
    const { writableHighWaterMark: mark, writableLength: after } = stream;
    const had = before + chunk.length < mark;
    const has = after < mark || after === 0;
    if (returned ? !had && !has : had && has) this.wrong.push(`write returns ${returned} at ${after}`);
    if (!returned) this.#owesDrain = true;
  }

  #end(step: DecoderStep & { do: 'end' }): void {
    const late = this.#isLate;
    if (late && this.skipsLate) return;
    const args: unknown[] = [];
    if ((step.rest || this.isReference) && !late && this.fed < this.input.bytes.length) {
      args.push(this.#take(this.input.bytes.length));
      this.written(this.fed, late, false);
    } else if (step.callback === 'null') {
      args.push(null);
    } else if (step.callback === 'undefined') {
      args.push(undefined, undefined);
    }
    const [end, callback] = step.callback === 'none' ? [] : this.ending();
    args.push(callback);
    this.#isEnding = true;
    (this.stream.end as (...args: unknown[]) => unknown).apply(this.stream, args);
    this.#isEnding = false;
    this.isEnded = true;
    if (end !== undefined && this.stream.destroyed) end.isForgotten = true;
  }

  protected override progress(): unknown {
    return [super.progress(), this.oversize, this.bodies.map(({ gotLength, events }) => [gotLength, events])];
  }

  get #isFaulty(): boolean {
    return this.input.fault !== undefined && this.input.fault.at <= this.fed;
  }

  expectAllOut(): void {
    expect(this.wrong.join('; ')).to.equal('');
    const { stream } = this;
    if (stream.destroyed || this.#isFaulty || this.isEnded) return;
    // A body that waits for what was not written yet, or is left alone, stops all else.
    expect(this.out, 'messages').to.equal(this.complete(this.fed));
    expect(this.oversize, 'oversize').to.equal(this.input.oversize.filter(({ known }) => known <= this.fed).length);
    const isWaiting = this.bodies.some(({ isDestroyed, events }) => !isDestroyed && !events.includes('end'));
    if (isWaiting) return;
    expect(stream.writableLength, 'writableLength').to.equal(0);
    for (const { number, calls, error } of this.writes) {
      expect(calls, `calls of callback ${number}`).to.equal(1);
      expect(error, `error of callback ${number}`).to.equal(undefined);
    }
    expect(this.#owesDrain, "a missing 'drain'").to.equal(false);
  }

  expectDone(reader: FinalReader): void {
    expect(this.wrong.join('; ')).to.equal('');
    const { input, destroyedWith, tooLate } = this;
    const { fault } = input;
    const wasCut = destroyedWith !== undefined || tooLate;
    const isFaulty = this.#isFaulty;
    const isTruncated = !isFaulty && this.isEnded && !input.borders.includes(this.fed);
    if (!wasCut) {
      if (isFaulty) expect(fault!.isRight(this.error), `the error is right: ${this.error}`).to.equal(true);
      else if (isTruncated) expect(codeOf(this.error), `${this.error}`).to.equal('ERR_FRAME_TRUNCATED');
      else expect(this.error, 'error').to.equal(undefined);
      const tail = !isFaulty && !isTruncated && this.#isTail(this.complete(this.fed)) ? 1 : 0;
      expect(this.out, 'messages').to.equal(this.complete(this.fed) + tail);
      expect(this.oversize, 'oversize').to.equal(input.oversize.filter(({ known }) => known <= this.fed).length);
      const ways = this.events.filter((event) => event !== 'finish');
      expect(ways).to.deep.equal(isFaulty || isTruncated ? ['error', 'close'] : ['end', 'close']);
      if (!isFaulty && !isTruncated) expect(this.events).to.include('finish');
    } else {
      expect(this.events.filter((event) => event === 'close')).to.have.length(1);
      if (destroyedWith?.error !== undefined) expect(this.error).to.equal(destroyedWith.error);
      if (tooLate) expect(codeOf(this.error)).to.equal('ERR_STREAM_WRITE_AFTER_END');
    }
    for (const { number, calls, error, hasCallback, late, end } of this.writes) {
      if (!hasCallback) continue;
      expect(calls, `calls of callback ${number}`).to.equal(1);
      if (late || (isFaulty && end >= fault!.at)) {
        // What failed the stream, whatever was thrown.
        expect(error, `error of callback ${number}`).not.to.equal(undefined);
      } else if (!wasCut) {
        expect(error, `error of callback ${number}`).to.equal(undefined);
      } else if (error !== undefined && !isFaulty) {
        if (destroyedWith?.error !== undefined) expect(error).to.equal(destroyedWith.error);
        else expect(codeOf(error)).to.equal(tooLate ? 'ERR_STREAM_WRITE_AFTER_END' : 'ERR_STREAM_DESTROYED');
      }
    }
    this.expectEnds(!wasCut && !isFaulty && !isTruncated);
    for (const { piece, at } of this.#kept) expect(this.isSame(piece, at), `what came at ${at}, later`).to.equal(true);
    this.#expectBodies(wasCut, isTruncated);
    if (!wasCut && this.final?.isAlone && !this.isNested) this.#expectFinal(reader, isFaulty || isTruncated);
  }

  #expectBodies(wasCut: boolean, isTruncated: boolean): void {
    for (const [i, { number, stream, gotLength, isDestroyed, events, error }] of this.bodies.entries()) {
      const { payload, end, known } = this.input.messages[number]!;
      // One that `read` gives after the stream was destroyed has closed before.
      if (events.length === 0) expect(stream.closed, `body ${number} has closed`).to.equal(true);
      else expect(events.at(-1), `the last event of body ${number}`).to.equal('close');
      expect(stream.destroyed, `body ${number} is destroyed`).to.equal(true);
      if (isDestroyed || wasCut) continue;
      const isBroken = isTruncated && i === this.bodies.length - 1 && end > this.fed;
      if (isBroken) {
        const kept = this.settings.field === 'kept' ? 4 : 0;
        expect(gotLength, `bytes of body ${number}`).to.equal(this.fed - known + kept);
        expect(codeOf(error), `error of body ${number}`).to.equal('ERR_FRAME_TRUNCATED');
      } else {
        expect(gotLength, `bytes of body ${number}`).to.equal(payload.length);
        expect(events, `events of body ${number}`).to.deep.equal(['end', 'close']);
      }
    }
  }

  #expectFinal(reader: FinalReader, fails: boolean): void {
    const final = this.final!;
    if (reader.read === 'pipe' || reader.read === 'two sinks') {
      for (const sink of final.sinks) {
        const places = sink.pieces.map(({ at }) => at);
        expect(places, 'the places of pieces').to.deep.equal([...places].sort((a, b) => a - b));
        const count = sink.pieces.reduce((sum, { chunk }) => sum + this.#countOf(chunk), 0);
        expect(count, 'what a sink got').to.equal(this.out - this.outAtFinal);
        if (!fails) expect(sink.stream.writableFinished, 'a sink has ended').to.equal(true);
      }
      return;
    }
    // These drop what they hold for an error.
    if (fails && ['toArray', 'web', 'compose'].includes(reader.read)) return;
    const count = final.got.reduce<number>((sum, piece) => sum + this.#countOf(piece), 0);
    expect(count, 'what the reader got').to.equal(this.out - this.outAtFinal);
    let at = this.outAtFinal;
    for (const piece of final.got) {
      expect(this.isSame(piece, at), 'what the reader got').to.equal(true);
      at += this.#countOf(piece);
    }
    if (!['iterator', 'slow iterator', 'toArray', 'map', 'compose', 'web', 'pipeline'].includes(reader.read)) return;
    expect(final.isDone, 'the reader is done').to.equal(true);
    if (fails) expect(final.error, 'the error of the reader').not.to.equal(undefined);
    else expect(final.error, 'the error of the reader').to.equal(undefined);
  }

  #countOf(piece: unknown): number {
    return this.settings.mode.includes('batch') ? (piece as unknown[]).length : 1;
  }
}

/** What a plain Transform of Node's would be, which knows where the messages are: the checks have to hold for it. */
class Reference extends Transform {
  readonly #settings: Settings;
  readonly #input: Input;
  #fed = 0;
  #given = 0;
  #passed = 0;

  constructor(settings: Settings, input: Input) {
    // With less room, one that makes many messages of a write can hang: https://github.com/nodejs/node/issues/49938
    super({
      readableObjectMode: true,
      readableHighWaterMark: 1000,
      writableHighWaterMark: settings.writableHighWaterMark,
    });
    this.#settings = settings;
    this.#input = input;
  }

  override _transform(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#fed += chunk.length;
    const { messages, oversize } = this.#input;
    const { mode } = this.#settings;
    const all: unknown[] = [];
    for (let next = messages[this.#given]; next !== undefined && next.end <= this.#fed; next = messages[this.#given]) {
      this.#given++;
      all.push(
        mode.startsWith('decode')
          ? { hex: next.payload.toString('hex') }
          : Buffer.from(Uint8Array.from(next.payload).buffer),
      );
    }
    for (
      let next = oversize[this.#passed];
      next !== undefined && next.known <= this.#fed;
      next = oversize[this.#passed]
    ) {
      this.#passed++;
      this.emit('oversize', next.length, next.position);
    }
    if (mode.includes('batch') && all.length > 0) this.push(all);
    else for (const message of all) this.push(message);
    callback();
  }
}

const sizes = fc.oneof(
  { weight: 8, arbitrary: fc.nat(20) },
  { weight: 2, arbitrary: fc.nat(3000) },
  { weight: 1, arbitrary: fc.integer({ min: 16_000, max: 60_000 }) },
);

const readings: fc.Arbitrary<Reading> = fc.record({
  how: fc.constantFrom(...(['data', 'iterate', 'readable', 'poll', 'by bytes', 'look'] as const)),
  after: fc.oneof(fc.constant(0), fc.nat(6)),
  parts: fc.oneof(fc.constant(1_000_000), fc.nat(3)),
  leaving: fc.constantFrom('destroy' as const, 'destroy with an error' as const),
  slow: fc.boolean(),
});

const settingsOf = (faults: Settings['fault'][], modes: Mode[]): fc.Arbitrary<Settings> =>
  fc.record({
    field: fc.constantFrom<Field>('uint32le', 'uint32le', 'uint16be', 'varint', 'decimal', 'kept', 'counting'),
    mode: fc.constantFrom(...modes),
    sizes: fc.array(sizes, { maxLength: 30, size: 'max' }),
    fault: fc.constantFrom(...faults),
    at: fc.nat(20),
    thrown: fc.constantFrom(...(['error', 'text', 'null', 'undefined', 'zero'] as const)),
    skip: fc.boolean(),
    readableHighWaterMark: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 20 })),
    writableHighWaterMark: fc.constantFrom(1, 100, 16_384, 131_072),
    // Not UTF-8: readable-stream has a decoder of characters of its own, which differs at bytes that are not UTF-8.
    encoding: fc.constantFrom(undefined, undefined, 'hex' as const, 'latin1' as const),
    readings: fc.array(readings, { minLength: 1, maxLength: 6 }),
  });

const ends: fc.Arbitrary<DecoderStep & { do: 'end' }> = fc.record({
  do: fc.constant('end' as const),
  rest: fc.boolean(),
  callback: fc.constantFrom(...(['none', 'alone', 'undefined', 'null'] as const)),
});

function stepsOf(others: fc.WeightedArbitrary<DecoderStep>[]): fc.Arbitrary<Steps<DecoderStep>[]> {
  const now: fc.Arbitrary<DecoderStep> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        count: fc.oneof(
          fc.integer({ min: 1, max: 8 }),
          fc.integer({ min: 1, max: 300 }),
          fc.integer({ min: 1, max: 100_000 }),
        ),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('write to' as const), past: fc.integer({ min: -3, max: 5 }) }),
    },
    { weight: 4, arbitrary: readerSteps },
    { weight: 1, arbitrary: ends },
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

// One read for each 'readable' is not enough for objects: Node says so only once for several.
const readers = finalReaders.filter(({ read }) => read !== 'once');

const inOnePiece: Mode[] = ['plain', 'plain', 'copy', 'batch', 'batch copy', 'decode', 'decode copy', 'decode batch'];

const runOf = (settings: fc.Arbitrary<Settings>, ending: fc.Arbitrary<DecoderStep>): fc.Arbitrary<Run> =>
  fc.record({
    settings,
    steps: stepsOf([]),
    reader: readers,
    ending,
    early: fc.boolean(),
  });

async function play(rig: DecoderRig, { steps, reader, ending, early }: Run): Promise<void> {
  await rig.all(steps);
  expect(rig.wrong.join('; ')).to.equal('');
  const isEnd = ending.do === 'end';
  const finish = () => {
    if (!(isEnd && rig.isEnded)) rig.run(ending);
  };
  if (early) finish();
  if (isEnd || !early) {
    await rig.readAll(reader);
    rig.expectAllOut();
  }
  if (!early) finish();
  await rig.settle();
  rig.expectDone(reader);
}

const faults: Settings['fault'][] = ['none', 'none', 'too long', 'corrupt', 'decode', 'listener'];

const numbers = fc.oneof(
  fc.nat(12),
  fc.constantFrom<unknown>(-1, -8, 1.5, 1e9, 2 ** 31, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '3', 3n, null, {}),
);

/** A wire whose bytes are all told apart, where that can be, and a length field that answers as it likes. */
const answering = fc.record({
  wire: fc.uint8Array({ min: 0, max: 0x7f, minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  cuts: fc.array(fc.nat(60), { maxLength: 8 }),
  mode: fc.constantFrom<Mode>('plain', 'copy', 'batch', 'batch copy', 'decode', 'decode batch', 'stream'),
  answers: fc.array(
    fc.oneof(
      fc.record({ value: fc.record({ length: numbers, width: numbers }) }),
      fc.record({ value: fc.constantFrom<unknown>(undefined, null, 3, 'x', {}, []) }),
      fc.constant(undefined),
    ),
    { maxLength: 4 },
  ),
  waits: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 8 })),
  offset: fc.nat(2),
  strip: fc.option(fc.nat(2), { nil: undefined }),
});

describe('any use of a decoder', function () {
  this.timeout(120_000);

  it('is judged by rules that a plain Transform keeps', () =>
    fc.assert(
      fc.asyncProperty(
        runOf(settingsOf(['none'], inOnePiece), fc.constant({ do: 'end', rest: true, callback: 'alone' })),
        (run) => play(new DecoderRig(run.settings, true), run),
      ),
      { numRuns: runs(100) },
    ));

  it('hands out each message once, in order, in front of any fault, holds no more than it may, and ends', () =>
    fc.assert(
      fc.asyncProperty(runOf(settingsOf(faults, inOnePiece), ends), (run) => play(new DecoderRig(run.settings), run)),
      { numRuns: runs(300) },
    ));

  it('hands out bodies one at a time, however much of each is read', () =>
    fc.assert(
      fc.asyncProperty(runOf(settingsOf(faults, ['stream']), ends), (run) => play(new DecoderRig(run.settings), run)),
      { numRuns: runs(300) },
    ));

  it('calls everything back once, destroyed at any moment', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          settings: settingsOf(faults, [...inOnePiece, 'stream', 'stream', 'stream']),
          steps: stepsOf([{ weight: 1, arbitrary: destroying }]),
          reader: readers,
          ending: destroying,
          early: fc.boolean(),
        }),
        fc.boolean(),
        (run, skipsLate) => {
          const rig = new DecoderRig(run.settings);
          rig.skipsLate = skipsLate;
          return play(rig, run);
        },
      ),
      { numRuns: runs(200) },
    ));

  it('gives nothing but bytes of the input, in order, whatever a length field answers', () =>
    fc.assert(
      fc.asyncProperty(answering, async ({ wire, cuts, mode, answers, waits, offset, strip }) => {
        let calls = 0;
        const lengthField: LengthField = {
          maxWidth: 8,
          read(bytes, start, end) {
            if (waits > end - start) return undefined;
            const answer = answers[calls++ % (answers.length + 1)];
            const right = { length: bytes[start]! % 8, width: 1 };
            return answer === undefined ? right : (answer.value as ReturnType<LengthField['read']>);
          },
          write: () => Buffer.alloc(1),
        };
        const decoder = new LengthPrefixDecoder({
          lengthField,
          lengthFieldOffset: offset,
          ...(strip === undefined ? {} : { initialBytesToStrip: Math.min(strip, offset) }),
          maxPayloadLength: 100,
          copy: mode.endsWith('copy'),
          batch: mode.includes('batch'),
          stream: mode === 'stream',
          decode: mode.startsWith('decode') ? (bytes, from, to) => Buffer.from(bytes.subarray(from, to)) : undefined,
        } as LengthPrefixDecoderOptions);
        const got: Buffer[] = [];
        const events: string[] = [];
        const called: number[] = [];
        let failure: unknown;
        decoder.on('error', (error) => {
          failure = error;
        });
        for (const event of ['end', 'error', 'close']) decoder.on(event, () => events.push(event));
        decoder.on('data', (piece: unknown) => {
          if (mode === 'stream')
            (piece as StreamedMessage).body.on('data', (part) => got.push(part)).on('error', () => {});
          else got.push(...(mode.includes('batch') ? (piece as Buffer[]) : [piece as Buffer]));
        });
        const places = [...new Set(cuts.map((cut) => cut % (wire.length + 1)))].sort((a, b) => a - b);
        const chunks = [0, ...places].map((from, i) => wire.subarray(from, places[i]));
        for (const [i, chunk] of chunks.entries()) {
          const memory = Buffer.alloc(chunk.length + 64, 0xee);
          memory.set(chunk, 32);
          decoder.write(memory.subarray(32, 32 + chunk.length), () => called.push(i));
        }
        decoder.end();
        await turns(30);
        expect(events).to.be.deep.oneOf([
          ['end', 'close'],
          ['error', 'close'],
        ]);
        if (failure !== undefined) expect(failure).to.be.instanceOf(FrameError);
        expect(called).to.deep.equal(chunks.map((_, i) => i));
        let at = 0;
        for (const bytes of got) {
          const found = wire.indexOf(bytes, at);
          expect(found, `${bytes.toString('hex')} from ${at} on`).to.be.at.least(0);
          at = found + bytes.length;
        }
        if (answers.length > 0 || waits > 1 || offset > 0 || strip !== undefined || failure !== undefined) return;
        const right: Buffer[] = [];
        for (let from = 0; from < wire.length; from += 1 + (wire[from]! % 8)) {
          right.push(wire.subarray(from + 1, from + 1 + (wire[from]! % 8)));
        }
        expect(Buffer.concat(got)).to.deep.equal(Buffer.concat(right));
      }),
      { numRuns: runs(300) },
    ));
});
