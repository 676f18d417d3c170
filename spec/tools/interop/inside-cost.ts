/**
 * The CPU time that node-postgres and docker-modem take to take the same bytes apart, with their own framers and with ours
 * inside: `node dist/spec/tools/interop/inside-cost.js`.
 */
import { EventEmitter } from 'node:events';
import { encode, type FormatOptions, formats, type MessagePart } from '../../../lib/index.js';
import { intBE as int } from './bytes.js';
import { demuxStream, Modem, PostgresParser, parse } from './inside.js';

const ROUNDS = 15;
/** What a socket gives at a time. */
const CHUNK_LENGTH = 65_536;
/** The size of messages, and how many there are. */
const workloads = [
  [16, 20_000],
  [1024, 10_000],
  [65_536, 500],
  [1_048_576, 50],
] as const;

/** Takes the chunks of a connection apart: how many messages they have. */
type Framer = (chunks: readonly Buffer[]) => number;

interface Subject {
  readonly name: string;
  readonly format: FormatOptions;
  readonly messageOf: (value: Buffer) => MessagePart[];
  readonly theirs: Framer;
  readonly ours: Framer;
}

/** Makes nothing of a message, so that framing alone is measured. */
class FramingAlone extends PostgresParser {
  readonly #message = {};
  override handlePacket(): object {
    return this.#message;
  }
}

/** A DataRow of one column. */
const rowOf = (value: Buffer) => ['D\0\0\0\0', int(1, 2), int(value.length, 4), value];

function postgres(name: string, Parser: typeof PostgresParser): Subject {
  const framer =
    (parse: PostgresParser['parse']): Framer =>
    (chunks) => {
      const parser = new Parser();
      let count = 0;
      for (const chunk of chunks) parse.call(parser, chunk, () => count++);
      return count;
    };
  const theirs = framer(PostgresParser.prototype.parse);
  return { name, format: formats.postgres, messageOf: rowOf, theirs, ours: framer(parse) };
}

function docker(demux: typeof demuxStream): Framer {
  return (chunks) => {
    let count = 0;
    const stdout = { write: () => count++ };
    const stream = new EventEmitter();
    demux(stream as any, stdout as any, stdout as any);
    for (const chunk of chunks) stream.emit('data', chunk);
    return count;
  };
}

const subjects: Subject[] = [
  postgres('node-postgres, rows', PostgresParser),
  postgres('node-postgres, framing alone', FramingAlone),
  {
    name: 'docker-modem',
    format: formats.dockerStream,
    messageOf: (value) => ['\x01\0\0\0\0\0\0\0', value],
    theirs: docker(Modem.prototype.demuxStream),
    ours: docker(demuxStream),
  },
];

/** Microseconds of CPU a message, the least of all rounds. */
function measure({ format, messageOf, theirs, ours }: Subject, size: number, count: number): number[] {
  const message = encode(messageOf(Buffer.alloc(size, 'x')), format);
  const wire = Buffer.alloc(message.length * count, message);
  const chunks: Buffer[] = [];
  for (let at = 0; at < wire.length; at += CHUNK_LENGTH) {
    // A socket's chunks are no views of larger memory.
    const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_LENGTH, wire.length - at));
    wire.copy(chunk, 0, at);
    chunks.push(chunk);
  }
  const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, framer] of [theirs, ours].entries()) {
      const before = process.cpuUsage();
      const found = framer(chunks);
      const { user, system } = process.cpuUsage(before);
      if (found !== count) throw new Error(`${found} messages in the place of ${count}`);
      least[i] = Math.min(least[i]!, (user + system) / count);
    }
  }
  return least;
}

console.log('| µs of CPU a message | bytes | its own | ours | ours / its own |\n| --- | ---: | ---: | ---: | ---: |');
for (const subject of subjects) {
  for (const [size, count] of workloads) {
    const [theirs, ours] = measure(subject, size, count) as [number, number];
    const cells = [subject.name, size, theirs.toFixed(3), ours.toFixed(3), (ours / theirs).toFixed(2)];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
