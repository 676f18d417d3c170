/** What the programs of the specs here do, in every language, and how it is said to them. */
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Framed, type FramedOptions, framed } from '../../../lib/index.js';
import { connectTo, listen, Process } from '../../support/programs.js';

/** The path of a program's source: the compiler leaves it where it is. */
export function sourceOf(name: string): string {
  return fileURLToPath(new URL(`../../../../spec/tools/interop/${name}`, import.meta.url));
}

/** Debian's own, which has Debian's libraries; there may be another one. */
export const PYTHON = '/usr/bin/python3';

/**
 * A program that serves when it is started with `server`, and says where; and with `client`, a port and sizes sends
 * messages of these sizes.
 */
export interface PeerProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly format: FramedOptions<false, Buffer, false>;
}

/** A message of so many bytes: 0, 1, 2 and so on to 250, then 0 again. */
export function messageOf(size: number): Buffer {
  return Buffer.alloc(
    size,
    Uint8Array.from({ length: 251 }, (_, i) => i),
  );
}

/** The other end answers each message with two: its size in digits, and the message itself. */
export async function expectAnswers(messages: Framed, sizes: readonly number[]): Promise<void> {
  // All are on their way before an answer comes, so that the other end gets several in one chunk.
  for (const size of sizes) messages.write(messageOf(size));
  const answers: Buffer[] = [];
  for await (const answer of messages) {
    if (answers.push(answer) === 2 * sizes.length) messages.end();
  }
  expect(answers.map((answer, i) => (i % 2 === 0 ? `${answer}` : answer.length))).to.deep.equal(
    sizes.flatMap((size) => [String(size), size]),
  );
  for (const [i, size] of sizes.entries()) expect(answers[2 * i + 1]!.equals(messageOf(size))).to.equal(true);
}

/** Our client with the program's server. */
export async function expectServer({ command, args, format }: PeerProgram, sizes: readonly number[]): Promise<void> {
  const server = new Process(command, [...args, 'server']);
  const port = Number((await server.line(/^Listening on \d+$/)).split(' ')[2]);
  await expectAnswers(framed(await connectTo(port), format), sizes);
  expect(server.errors).to.deep.equal([]);
}

/** The program's client, which checks the answers that it gets, with our server. */
export async function expectClient({ command, args, format }: PeerProgram, sizes: readonly number[]): Promise<void> {
  const received: Buffer[] = [];
  const port = await listen(async (socket) => {
    const messages = framed(socket, format);
    for await (const message of messages) {
      received.push(message);
      messages.write(String(message.length));
      messages.write(message);
    }
    messages.end();
  });
  await new Process(command, [...args, 'client', String(port), ...sizes.map(String)]).succeeds();
  expect(received.map(({ length }) => length)).to.deep.equal(sizes);
  for (const [i, size] of sizes.entries()) expect(received[i]!.equals(messageOf(size))).to.equal(true);
}
