/** Our parser in the place of the framers of npm's packages. */
import type { Readable, Writable } from 'node:stream';
import { buffers } from '../../../lib/index.js';
import { FrameParser, formats } from '../../../lib/wire/index.js';
import { fromNpm } from './npm.js';

/** node-postgres's: `parse` takes a chunk, and calls back for each message that `handlePacket` makes of its bytes. */
export interface PostgresParser {
  parse(this: PostgresParser, chunk: Buffer, callback: (message: object) => void): void;
  handlePacket(bodyAt: number, code: number, length: number, bytes: Buffer): object;
}

export const PostgresParser: { new (): PostgresParser; prototype: PostgresParser } =
  fromNpm('pg-protocol/dist/parser').Parser;

const HEAD_LENGTH = 5;
const parsers = new WeakMap<PostgresParser, FrameParser<Buffer, object>>();

/** In the place of its `parse`: messages are made where their bytes lie. Rows may be as long as PostgreSQL allows. */
export function parse(this: PostgresParser, chunk: Buffer, callback: (message: object) => void): void {
  let parser = parsers.get(this);
  if (parser === undefined) {
    const decode = (bytes: Buffer, start: number, end: number) =>
      this.handlePacket(start + HEAD_LENGTH, bytes[start]!, end - start - 1, bytes);
    parser = new FrameParser({ ...formats.postgres, maxPayloadLength: 2 ** 30, decode }, buffers);
    parsers.set(this, parser);
  }
  parser.push(chunk);
  for (let message = parser.next(); message !== undefined; message = parser.next()) callback(message);
}

/** docker-modem's. */
export const Modem: { new (options: object): any; prototype: { demuxStream: typeof demuxStream } } =
  fromNpm('docker-modem');

const STDOUT = 1;

/** In the place of its `demuxStream`. */
export function demuxStream(stream: Readable, stdout: Writable, stderr: Writable): void {
  const parser = new FrameParser(formats.dockerStream, buffers);
  stream.on('data', (chunk: Buffer) => {
    parser.push(chunk);
    for (let message = parser.next(); message !== undefined; message = parser.next()) {
      (message[0] === STDOUT ? stdout : stderr).write(message.subarray(8));
    }
  });
}
