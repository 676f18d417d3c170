/** `length-prefix listen` */
import { spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { isatty } from 'node:tty';
import { type FormatOptions, framed, type StreamedMessage } from 'length-prefix';
import { type Address, addressOf } from './address.js';
import { type Serving, serve, stdio } from './connection.js';
import { whole } from './conversation.js';
import { complain, describe, leave, notice, UsageError } from './errors.js';
import { formatOf } from './format.js';
import { atMostOne, refuseMore, type Values, wholeNumber } from './options.js';
import { PATIENCE } from './output.js';
import { Printer } from './printer.js';
import { Saving } from './saving.js';
import { type Parts, pass, Shown, type Streamed } from './showing.js';

/** Uses each message, beside that it is printed. */
type Use = (
  messages: Streamed,
  connection: number,
  length: number,
  count: number,
) => (parts: Parts) => Promise<unknown>;

function send(messages: Streamed, message: Parameters<Streamed['write']>[0]): Promise<void> {
  return new Promise((resolve, reject) => messages.write(message, (error) => (error ? reject(error) : resolve())));
}

/** The answer of a program to a message. */
async function answerOf(command: string, parts: Parts, most: number): Promise<Buffer> {
  const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => resolve(signal ?? code ?? 1));
  });
  // It need not read all that it is given.
  child.stdin.on('error', () => {});
  const output: Buffer[] = [];
  let length = 0;
  const reading = (async () => {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > most) {
        child.kill();
        return; // The output is closed, which ends those that the shell has started.
      }
      output.push(chunk);
    }
  })();
  for await (const part of parts) {
    if (child.stdin.writable && !child.stdin.write(part)) {
      await Promise.race([new Promise((resolve) => child.stdin.once('drain', resolve)), ended]);
    }
  }
  child.stdin.end();
  const [how] = await Promise.all([ended, reading]);
  if (length > most) throw new Error(`--exec: the answer has more than ${most} bytes (--max-payload-length)`);
  if (how !== 0)
    throw new Error(`--exec: the program ended with ${typeof how === 'number' ? `exit code ${how}` : how}`);
  return Buffer.concat(output);
}

async function useOf(values: Values, format: FormatOptions): Promise<Use> {
  atMostOne(values, 'save', 'echo', 'exec');
  if (values.save !== undefined) {
    const saving = await Saving.in(values.save as string);
    return (_, connection, __, count) => (parts) => saving.save(connection, count, parts);
  }
  // A message goes back while it comes in.
  if (values.echo === true) return (messages, _, length) => (parts) => send(messages, { length, body: parts });
  if (values.exec === undefined) return () => pass;
  const most = format.maxPayloadLength ?? 16_777_216;
  return (messages) => async (parts) => send(messages, await answerOf(values.exec as string, parts, most));
}

/** A client, and the messages of it that are under way. */
class Client {
  readonly messages: Streamed;
  readonly #shown: Shown;
  /** Whether a message is in hand: it still comes, or its answer is being made. */
  #isBusy = false;
  /** Whether the listener has ended it, or cut it off: its errors are of no interest any more. */
  isOver = false;
  /** Messages that begin from here on are not taken. */
  #end = Number.POSITIVE_INFINITY;

  constructor(messages: Streamed, shown: Shown) {
    this.messages = messages;
    this.#shown = shown;
  }

  /** Whether the next message is not taken any more. */
  get isLate(): boolean {
    return this.#shown.position >= this.#end;
  }

  /** Deals with a message. With an error the connection is reset: the client learns that not all it sent was taken. */
  async deal(message: StreamedMessage, use: (parts: Parts) => Promise<unknown>): Promise<void> {
    this.#isBusy = true;
    try {
      await this.#shown.message(message, use);
    } catch (error) {
      this.messages.destroy(error as Error);
      throw error;
    }
    this.#isBusy = false;
  }

  /** Takes the messages that have begun, and no more. Returns whether there are any. */
  stop(): boolean {
    this.#end = this.#shown.received;
    const isUnderWay = this.#isBusy || !this.isLate;
    this.endIfDone();
    return isUnderWay;
  }

  /** Takes no more messages. One in hand that has come whole is still answered. */
  stopAtOnce(): void {
    this.#end = this.#shown.position;
    if (this.#isBusy && this.#shown.received < this.#end) this.cutOff();
    else this.endIfDone();
  }

  /** Ends a connection that stops when nothing is under way. Its client has a second to do so, too. */
  endIfDone(): void {
    if (!this.isLate || this.#isBusy) return;
    this.isOver = true;
    this.messages.close({ deadline: 1000 }).catch(() => {});
  }

  /** A message is not taken. A client that has had answers keeps them, and sees an end. */
  async refuse({ body }: StreamedMessage): Promise<void> {
    if (this.messages.bytesWritten === 0) this.cutOff();
    else await pass(body);
  }

  cutOff(): void {
    this.isOver = true;
    this.messages.destroy(new Error('The listener stops'));
  }
}

/** All that is open. */
class Listener {
  readonly #clients = new Set<Client>();
  readonly #printer: Printer;
  readonly #format: FormatOptions;
  readonly #frameTimeout: number | undefined;
  readonly #use: Use;
  /** Messages that are still to come. */
  #left: number;
  #count = 0;
  #isStopping = false;
  serving: Serving | undefined;

  constructor(values: Values, format: FormatOptions, printer: Printer, use: Use) {
    this.#format = values.whole === true ? whole(format) : format;
    this.#frameTimeout = wholeNumber(values, 'frame-timeout');
    this.#left = wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY;
    this.#printer = printer;
    this.#use = use;
  }

  async take(socket: Duplex, name: string): Promise<void> {
    const connection = ++this.#count;
    const shown = new Shown(this.#printer, { connection, direction: '->' }, this.#format);
    const messages: Streamed = framed(socket, { ...shown.format, frameTimeout: this.#frameTimeout, stream: true });
    shown.watch(socket);
    // The loop tells of it, unless a message has failed that it is at.
    messages.on('error', () => {});
    const client = new Client(messages, shown);
    this.#clients.add(client);
    let count = 0;
    try {
      // The next message comes when this one is dealt with: a client that is faster than that has to wait.
      for await (const message of messages) {
        if (client.isLate) {
          await client.refuse(message);
          continue;
        }
        await client.deal(message, this.#use(messages, connection, message.length, ++count));
        if (--this.#left === 0) this.#stopAtOnce();
        client.endIfDone();
      }
      // The output is there before the client learns that all went well.
      this.#printer.output.flush();
      messages.end();
      await finished(messages);
    } catch (error) {
      if (!client.isOver) shown.fault(error, name);
    }
    this.#clients.delete(client);
    this.#leaveIfOver();
  }

  /** Enough messages have come. */
  #stopAtOnce(): void {
    this.#isStopping = true;
    this.#printer.output.flush();
    this.#printer.hurry();
    this.serving?.server.close();
    for (const client of this.#clients) client.stopAtOnce();
  }

  /** Ends all that is open, when the messages under way are there, and answered. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#printer.hurry();
    this.serving?.server.close();
    const busy = [...this.#clients].filter((client) => client.stop());
    if (busy.length > 0)
      complain(`Stopping after the messages under way. Connections: ${busy.length}. Ctrl+C again stops at once`);
    this.#leaveIfOver();
  }

  /** A program ends by itself, but for an output that nobody reads. */
  #leaveIfOver(): void {
    if (this.#isStopping && this.#clients.size === 0) void this.#printer.end().then(() => leave(0, PATIENCE));
  }

  /** A client whose message is under way must not see an end: it would say that all went well. */
  cutOff(): void {
    for (const client of this.#clients) client.cutOff();
  }
}

/** Calls `stop` at the first signal; a second one calls `cutOff`, and ends the program at once. */
export function onSignal(stop: () => void, cutOff: () => void = () => {}): void {
  let isStopping = false;
  let isReady = false;
  const onNext = (signal: NodeJS.Signals) => {
    if (isStopping) {
      if (!isReady) return;
      process.off('SIGINT', onNext).off('SIGTERM', onNext);
      cutOff();
      // Without a listener it does what it does to any program.
      process.kill(process.pid, signal);
      return;
    }
    isStopping = true;
    // On a terminal Ctrl+C can come twice: from the terminal, and from npm, which passes on what it got.
    if (isatty(0)) setTimeout(() => (isReady = true), 500).unref();
    else isReady = true;
    stop();
  };
  process.on('SIGINT', onNext).on('SIGTERM', onNext);
}

function addressIn(values: Values, positionals: readonly string[]): Address {
  const [first, second] = positionals;
  refuseMore('ADDRESS', second);
  if (first !== undefined) {
    for (const name of ['host', 'port'])
      if (values[name] !== undefined) throw new UsageError(`--${name} can't be given with an ADDRESS`);
    return addressOf(first);
  }
  const port = wholeNumber(values, 'port', 0, 65_535) ?? 11_000;
  return { kind: 'tcp', host: (values.host as string | undefined) ?? '127.0.0.1', port };
}

export async function run(values: Values, positionals: readonly string[]): Promise<undefined> {
  const address = addressIn(values, positionals);
  const format = formatOf(values);
  const isStdio = address.kind === 'stdio';
  const printer = await Printer.open(values, {
    onStandardError: isStdio,
    onLost: (error) => complain(`Going on without output: ${describe(error)}`),
  });
  const listener = new Listener(values, format, printer, await useOf(values, format));
  onSignal(
    () => listener.stop(),
    () => listener.cutOff(),
  );
  if (isStdio) {
    await listener.take(stdio(), 'stdio:');
    return undefined;
  }
  listener.serving = await serve(
    address,
    values,
    values.save === undefined && values.exec === undefined ? 1 : 4,
    (socket, name) => {
      void listener.take(socket, name);
    },
  );
  notice(`Listening on ${listener.serving.where}`);
  return undefined;
}
