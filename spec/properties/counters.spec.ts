import { Buffer } from 'node:buffer';
import { Duplex, Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { framed, LengthPrefixDecoder, LengthPrefixEncoder } from '../../lib/index.js';
import { LengthPrefixDecoderStream, LengthPrefixEncoderStream } from '../../lib/web/index.js';
import { FrameParser } from '../../lib/wire/index.js';
import { frame } from '../support/frames.js';
import { runs } from '../support/runs.js';
import { conversations, cutConversations } from './arbitraries.js';

interface ReadCounters {
  readonly bytesRead: number;
  readonly messagesRead?: number;
  readonly insideFrame: boolean;
  readonly pendingFrameBytes: number;
}

const lengthOf = (all: readonly Uint8Array[]): number => all.reduce((sum, { length }) => sum + length, 0);

/** The counters when the first bytes of these frames were read. */
function countersAfter(bytesRead: number, frames: readonly Buffer[]): Required<ReadCounters> {
  let messagesRead = 0;
  let pendingFrameBytes = bytesRead;
  while (messagesRead < frames.length && frames[messagesRead]!.length <= pendingFrameBytes) {
    pendingFrameBytes -= frames[messagesRead++]!.length;
  }
  return { bytesRead, messagesRead, insideFrame: pendingFrameBytes > 0, pendingFrameBytes };
}

function expectRead(stream: ReadCounters, bytes: number, frames: readonly Buffer[]): void {
  const { messagesRead, ...due } = countersAfter(bytes, frames);
  expect(stream).to.include(due);
  if ('messagesRead' in stream) expect(stream.messagesRead).to.equal(messagesRead);
}

/** A stream of bytes that come when the test says so. */
class Link extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, callback: () => void): void {
    callback();
  }
}

describe('counters', () => {
  for (const batch of [false, true]) {
    it(`messagesRead has the message that a 'data' listener has: batch ${batch}`, async () => {
      const link = new Link();
      for (const stream of [new LengthPrefixDecoder({ batch }), framed(link, { batch })]) {
        const seen: number[] = [];
        stream.on('data', () => seen.push(stream.messagesRead));
        await turn(); // it flows
        const bytes = Buffer.concat([frame('a'), frame('b'), frame('c')]);
        if (stream instanceof LengthPrefixDecoder) stream.write(bytes);
        else link.emit('data', bytes);
        expect(seen).to.deep.equal(batch ? [3] : [1, 2, 3]);
      }
    });
  }

  const ways: Record<string, (options: object) => [ReadCounters, (chunk: Buffer) => unknown]> = {
    'a decoder': (options) => {
      const decoder = new LengthPrefixDecoder(options).resume();
      return [decoder, (chunk) => decoder.write(chunk)];
    },
    'a decoder of batches': (options) => {
      const decoder = new LengthPrefixDecoder({ ...options, batch: true, copy: true }).resume();
      return [decoder, (chunk) => decoder.write(chunk)];
    },
    'a decoder of bodies': (options) => {
      const decoder = new LengthPrefixDecoder({ ...options, stream: true });
      decoder.on('data', ({ body }) => body.resume());
      // A message is handed out when its length is there: that is not counted here.
      const counters = {
        get bytesRead() {
          return decoder.bytesRead;
        },
        get insideFrame() {
          return decoder.insideFrame;
        },
        get pendingFrameBytes() {
          return decoder.pendingFrameBytes;
        },
      };
      return [counters, (chunk) => decoder.write(chunk)];
    },
    'a framed': (options) => {
      const link = new Link();
      return [framed(link, { ...options, frameTimeout: 100_000 }).resume(), (chunk) => link.push(chunk)];
    },
    'a web stream': (options) => {
      const stream = new LengthPrefixDecoderStream(options);
      const writer = stream.writable.getWriter();
      void stream.readable.pipeTo(new WritableStream());
      return [stream, (chunk) => writer.write(chunk)];
    },
    'a parser': (options) => {
      const parser = new FrameParser(options);
      const push = (chunk: Buffer): void => {
        parser.push(chunk);
        while (parser.next() !== undefined);
      };
      return [parser, push];
    },
  };
  for (const [name, make] of Object.entries(ways)) {
    it(`of the bytes and messages that ${name} has read are right behind every chunk`, () =>
      fc.assert(
        fc.asyncProperty(cutConversations, async ({ options, frames, chunks }) => {
          const [stream, give] = make(options);
          let bytes = 0;
          expectRead(stream, bytes, frames);
          for (const chunk of chunks) {
            give(chunk);
            bytes += chunk.length;
            for (let i = 0; i < 3; i++) await turn();
            expectRead(stream, bytes, frames);
          }
        }),
        { numRuns: runs(30) },
      ));
  }

  it('of written bytes and messages are right behind every write', () =>
    fc.assert(
      fc.asyncProperty(conversations, fc.func(fc.nat(3)), async ({ options, messages, frames }, kindOf) => {
        const web = new LengthPrefixEncoderStream(options);
        const writer = web.writable.getWriter();
        void web.readable.pipeTo(new WritableStream());
        const encoder = new LengthPrefixEncoder(options).resume();
        const connection = framed(new Link(), options);
        let bytes = 0;
        for (const [i, message] of messages.entries()) {
          const half = message.length >> 1;
          const parts = [message.subarray(0, half), message.subarray(half)];
          const kind = kindOf(i);
          const make = () =>
            kind === 0 ? message : kind === 1 ? parts : { length: message.length, body: Readable.from(parts) };
          encoder.write(make());
          connection.write(make());
          await writer.write(make());
          bytes += frames[i]!.length;
          for (let wait = 0; wait < 3; wait++) await turn();
          for (const stream of [encoder, connection, web]) {
            expect(stream).to.include({ bytesWritten: bytes, messagesWritten: i + 1 });
          }
        }
        expect(bytes).to.equal(lengthOf(frames));
      }),
      { numRuns: runs(30) },
    ));

  it('a message that is refused is not counted', () => {
    const encoder = new LengthPrefixEncoder({ maxPayloadLength: 3 });
    encoder.on('error', () => {});
    encoder.write('abc');
    encoder.write('abcd');
    expect(encoder).to.include({ bytesWritten: 7, messagesWritten: 1 });
  });

  it('chunks that wait in a parser were read', () => {
    const parser = new FrameParser();
    for (const chunk of [[1, 0], [0, 0, 7, 2], [0]]) parser.push(Uint8Array.from(chunk));
    expect(parser).to.include({ bytesRead: 7, pendingFrameBytes: 0 });
    expect(parser.next()).to.deep.equal(Uint8Array.of(7));
    expect(parser.next()).to.equal(undefined);
    expect(parser).to.include({ bytesRead: 7, pendingFrameBytes: 2, insideFrame: true });
  });
});
