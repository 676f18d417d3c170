/** The messages to send: files, and the standard input. */
import { fstatSync, statSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { FormatOptions, Message } from 'length-prefix';
import { describe, UsageError } from './errors.js';
import { KeptLength } from './kept-length.js';
import type { Values } from './options.js';
import { bytesOf, escaped, fromHex } from './text.js';

/** From this many bytes on, a file is sent piece by piece, and its progress shown. */
const LARGE = 262_144;

/** After so many lines, others have their turn. */
const TURN = 256;

/** A message that is to be sent, and its name. */
export interface Sending {
  readonly name: string;
  readonly length: number;
  readonly message: Message;
}

/** Names what an error is about. */
export class InputError extends Error {
  constructor(name: string, error: unknown) {
    super(`${name}: ${describe(error)}`, { cause: error });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined) Object.assign(this, { code });
    if ((error as Error).name === 'FrameError') this.name = 'FrameError';
  }
}

/** The most bytes that a message may have: `framed` is the judge of that. This is for an input that has no end. */
function longest({ lengthFieldOffset = 0, maxPayloadLength = 16_777_216 }: FormatOptions): number {
  return lengthFieldOffset + maxPayloadLength + 1024;
}

function tooLong({ maxPayloadLength = 16_777_216 }: FormatOptions): Error {
  const error = new Error(`more than ${maxPayloadLength} bytes (--max-payload-length)`);
  return Object.assign(error, { code: 'ERR_FRAME_TOO_LONG' });
}

/** Refuses a standard input that is none. */
export function checkStandardInput(): void {
  const stat = fstatSync(0);
  if (stat.isDirectory())
    throw new InputError('-', Object.assign(new Error('EISDIR: it is a directory'), { code: 'EISDIR' }));
  if (!stat.isCharacterDevice() || process.platform === 'win32' || stat.rdev !== statSync('/dev/null').rdev) return;
  try {
    // In the place of an input that is closed, Node opens the null device: for writing, too.
    writeSync(0, Buffer.alloc(0));
  } catch {
    return;
  }
  throw new Error('The standard input is closed');
}

/** The form of the standard input. */
function formOf(values: Values): string {
  const form = (values.input as string | undefined) ?? 'lines';
  if (['lines', 'ndjson', 'hex', 'whole'].includes(form)) return form;
  throw new UsageError(`--input must be lines, ndjson, hex or whole, not '${form}'`);
}

/** All that is to be sent: the files, or the standard input. */
export function sendings(names: readonly string[], values: Values, format: FormatOptions): AsyncGenerator<Sending> {
  const form = formOf(values);
  if (names.filter((name) => name === '-').length > 1)
    throw new UsageError('The standard input, -, can be read only once');
  if (names.length > 0 && values.input !== undefined) {
    throw new UsageError('--input is for the standard input: there can be no FILE');
  }
  if (names.length === 0 || names.includes('-')) checkStandardInput();
  if (names.length === 0) return form === 'whole' ? ofFiles(['-'], format) : ofLines(form, format);
  return ofFiles(names, format);
}

async function* ofFiles(names: readonly string[], format: FormatOptions): AsyncGenerator<Sending> {
  const kept = new KeptLength(format);
  for (const name of names) {
    const shown = escaped(name);
    try {
      const { length, message, start } = await messageOf(name, format, kept.needs);
      kept.see(shown, length, start);
      yield { name: shown, length, message };
    } catch (error) {
      throw error instanceof InputError ? error : new InputError(shown, error);
    }
  }
}

interface Opened extends Omit<Sending, 'name'> {
  /** Its first bytes. */
  readonly start: Buffer;
}

/** The length of a message has to be known before its first byte can be sent. */
async function messageOf(name: string, format: FormatOptions, needs: number): Promise<Opened> {
  const file = name === '-' ? undefined : await open(name);
  const stat = await file?.stat();
  if (file !== undefined && stat?.isFile() && stat.size >= LARGE) {
    const { size: length } = stat;
    const { buffer: start } = await file.read(Buffer.alloc(needs), 0, needs, 0);
    return { length, message: { length, body: shown(piecesOf(file, stat), length) }, start };
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of file?.createReadStream() ?? process.stdin) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > longest(format)) {
      throw tooLong(format);
    }
  }
  const message = length < LARGE ? Buffer.concat(chunks) : { length, body: shown(chunks, length) };
  return { length, message, start: Buffer.concat(chunks, Math.min(length, needs)) };
}

type Stat = Awaited<ReturnType<FileHandle['stat']>>;

async function* piecesOf(file: FileHandle, before: Stat): AsyncGenerator<Buffer> {
  const length = before.size as number;
  let read = 0;
  try {
    for await (const piece of file.createReadStream({ highWaterMark: LARGE, autoClose: false })) {
      read += piece.length;
      // In front of the last piece, so that a server never has a file for whole that was not.
      if (read >= length) checkUnchanged(before, await file.stat(), read);
      yield piece;
      if (read === length) return;
    }
    throw new Error(`It shrank while it was sent, from ${bytesOf(length)} to ${read}`);
  } finally {
    // Not awaited: a server may hang up as soon as it has the last byte.
    void file.close();
  }
}

function checkUnchanged(before: Stat, after: Stat, read: number): void {
  const size = Math.max(read, after.size as number);
  if (size !== before.size)
    throw new Error(`It grew while it was sent, from ${bytesOf(before.size as number)} to ${size}`);
  if (after.mtimeMs !== before.mtimeMs) throw new Error('It was written to while it was sent');
}

/** Shows on a terminal how much of a message the operating system has taken, which asks for one piece after the other. */
async function* shown(pieces: Iterable<Buffer> | AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let sent = 0;
  showProgress(0);
  for await (const piece of pieces) {
    yield piece;
    sent += piece.length;
    showProgress(sent / length);
  }
}

function showProgress(part: number): void {
  // At the beginning of the line again, so that whatever is printed next replaces it.
  if (process.stderr.isTTY) process.stderr.write(`${String(Math.floor(100 * part)).padStart(3)} %\r`);
}

interface Line {
  /** `line 1` */
  readonly name: string;
  /** Without its end. */
  readonly line: Buffer;
}

/** The lines of the standard input. Each byte of a message may take so many. */
async function* linesOf(format: FormatOptions, perByte: number): AsyncGenerator<Line> {
  const most = longest(format) * perByte;
  let number = 1;
  let parts: Buffer[] = [];
  let length = 0;
  const add = (part: Buffer) => {
    parts.push(part);
    length += part.length;
    if (length > most) throw new InputError(`line ${number}`, tooLong(format));
  };
  const take = () => {
    const line = Buffer.concat(parts);
    parts = [];
    length = 0;
    return { name: `line ${number++}`, line: line.at(-1) === 0x0d ? line.subarray(0, -1) : line };
  };
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    let at = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, at)) {
      add(chunk.subarray(at, end));
      yield take();
      at = end + 1;
    }
    if (at < chunk.length) add(chunk.subarray(at));
  }
  if (length > 0) yield take();
}

function messageIn(line: Buffer, form: string): Buffer {
  if (form === 'ndjson') {
    JSON.parse(line.toString());
    return line;
  }
  return form === 'hex' ? fromHex(line.toString()) : line;
}

async function* ofLines(form: string, format: FormatOptions): AsyncGenerator<Sending> {
  const kept = new KeptLength(format);
  let count = 0;
  // Hex takes two digits a byte, and may have spaces.
  for await (const { name, line } of linesOf(format, form === 'hex' ? 3 : 1)) {
    // An empty line is no JSON, and goes between others.
    if (form === 'ndjson' && line.length === 0) continue;
    try {
      const message = messageIn(line, form);
      kept.see(name, message.length, message);
      yield { name, length: message.length, message };
    } catch (error) {
      throw error instanceof InputError ? error : new InputError(name, error);
    }
    // Lines can come faster than anything else has its turn.
    if (++count % TURN === 0) await new Promise(setImmediate);
  }
}
