/** `length-prefix connect` */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FormatOptions, FrameError, framed, type Message, withFormat } from 'length-prefix';
import { addressOf } from './address.js';
import { connector, stdio } from './connection.js';
import { whole } from './conversation.js';
import { complain, describe, exit, notice, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { InputError, type Sending, sendings } from './input.js';
import { onSignal } from './listen.js';
import { seconds, type Values, wholeNumber } from './options.js';
import { Printer } from './printer.js';
import { Shown, type Streamed } from './showing.js';
import { bytesOf } from './text.js';

/** Ends the conversation, and the program, well. */
class Enough extends Error {}

class OutputError extends Error {}

class HungUp extends Error {
  override readonly message = 'The server hung up before all was sent';
}

class Conversation {
  readonly #messages: Streamed;
  readonly #shown: Shown;
  readonly #format: FormatOptions;
  readonly #isTold: boolean;
  readonly #wait: number | undefined;
  readonly #printer: Printer;
  /** The name of the message that is being sent. */
  #current: string | undefined;
  /** Settles when all that was sent so far is written. */
  #written: Promise<void> = Promise.resolve();
  #left: number;
  #isAllSent = false;
  #timer: NodeJS.Timeout | undefined;
  #stop: (error: Error) => void = () => {};

  constructor(stream: Duplex, format: FormatOptions, values: Values, printer: Printer, isTold: boolean) {
    this.#format = format;
    this.#printer = printer;
    this.#isTold = isTold;
    this.#wait = seconds(values, 'wait');
    this.#left = wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY;
    this.#shown = new Shown(
      printer,
      { connection: 1, direction: '<-' },
      values.whole === true ? whole(format) : format,
    );
    const frameTimeout = wholeNumber(values, 'frame-timeout');
    this.#messages = framed(stream, { ...this.#shown.format, frameTimeout, stream: true });
    this.#shown.watch(stream);
  }

  /** Sends and receives at a time: the connection can break while the next message is waited for. */
  async run(all: AsyncIterable<Sending>): Promise<void> {
    const stopped = new Promise<never>((_, reject) => {
      this.#stop = reject;
    });
    const closed = finished(this.#messages);
    try {
      await Promise.race([stopped, Promise.all([this.#sendAll(all), this.#receiveAll(), closed])]);
    } catch (error) {
      closed.catch(() => {});
      const isInside = this.#current !== undefined || this.#messages.writableLength > 0;
      if (error instanceof InputError) await this.#handOver(closed);
      // An end would tell the server that all went well.
      this.#messages.destroy(error instanceof Enough && !isInside ? undefined : (error as Error));
      if (!(error instanceof Enough)) throw this.#told(error);
    } finally {
      clearTimeout(this.#timer);
    }
  }

  /** Has what was sent arrive before the connection is reset, which can take it away: the server has a second. */
  async #handOver(closed: Promise<void>): Promise<void> {
    if (this.#messages.destroyed || this.#messages.bytesWritten === 0) return;
    const left = new Promise<void>((resolve) => {
      this.#stop = () => resolve();
    });
    await Promise.race([left, closed, this.#written.then(() => sleep(1000))]).catch(() => {});
  }

  /** Names what was being sent, and draws what came. */
  #told(error: unknown): unknown {
    if (error instanceof InputError || error instanceof HungUp || error instanceof OutputError) return error;
    const isRead = error instanceof FrameError && error.position < this.#messages.bytesRead;
    if (this.#current !== undefined && !isRead) return new InputError(this.#current, error);
    this.#printer.output.flush();
    complain(`length-prefix: ${describe(error)}`);
    this.#shown.draw(error);
    return Object.assign(error as Error, { isTold: true });
  }

  /** Breaks off: what was sent still arrives. */
  leave(): void {
    this.#stop(new Enough());
  }

  fail(error: Error): void {
    this.#messages.destroy(error);
    this.#stop(error);
  }

  async #sendAll(all: AsyncIterable<Sending>): Promise<void> {
    for await (const { name, length, message } of all) {
      this.#current = name;
      await this.#send(name, message);
      if (this.#isTold) notice(`Sent ${name}: ${bytesOf(length)}`);
      this.#current = undefined;
    }
    this.#isAllSent = true;
    this.#messages.end();
    this.#waitOn();
  }

  /** Files are told of when they are sent; with others, there need only be room for more. */
  #send(name: string, message: Message): Promise<void> | undefined {
    let hasRoom = true;
    this.#written = new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => {
        if (!error) return resolve();
        const named = new InputError(name, error);
        // It may be about a message that was sent a while ago.
        this.#stop(named);
        reject(named);
      };
      hasRoom = this.#messages.write(withFormat(this.#format, message), done);
    });
    this.#written.catch(() => {});
    return hasRoom && !this.#isTold ? undefined : this.#written;
  }

  async #receiveAll(): Promise<void> {
    for await (const message of this.#messages) {
      await this.#shown.message(message);
      if (--this.#left === 0) return this.leave();
      this.#waitOn();
    }
    if (this.#isAllSent) return;
    // Somebody who types sees it, and need not be told that something is missing.
    if (process.stdin.isTTY && !this.#isTold) this.leave();
    else throw new HungUp();
  }

  /** When all is sent, and nothing comes for so long, that is all. */
  #waitOn(): void {
    if (this.#wait === undefined || !this.#isAllSent) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.leave(), this.#wait);
  }
}

export async function run(values: Values, positionals: readonly string[]): Promise<number> {
  const [where, ...names] = positionals;
  if (where === undefined) throw new UsageError('There is no ADDRESS to connect to');
  const address = addressOf(where);
  const format = formatOf(values);
  const isStdio = address.kind === 'stdio';
  if (isStdio && (names.length === 0 || names.includes('-'))) {
    throw new UsageError('With stdio: the standard input is the connection. Give messages as FILEs');
  }
  const connect = isStdio ? async () => stdio() : connector(address, values);
  const all = sendings(names, values, format);
  let lose = (_error: Error) => {};
  const printer = await Printer.open(values, { onStandardError: isStdio, onLost: (error) => lose(error) });
  const conversation = new Conversation(await connect(), format, values, printer, names.length > 0);
  const lostFor = (error: Error) => new OutputError(`The output can't be written: ${error.message}`);
  lose = (error) => conversation.fail(lostFor(error));
  if (printer.output.lost !== undefined) lose(printer.output.lost);
  let code = 0;
  onSignal(() => {
    code = exit.interrupted;
    printer.hurry();
    conversation.leave();
  });
  try {
    await conversation.run(all);
  } finally {
    await printer.end();
  }
  // It may be the last line that can't be written.
  const { lost } = printer.output;
  if (lost === undefined) return code;
  if (code === 0) throw lostFor(lost);
  complain(`length-prefix: ${describe(lostFor(lost))}`);
  return code;
}
