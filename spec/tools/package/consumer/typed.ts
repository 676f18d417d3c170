import { strict as assert } from 'node:assert';
import { connect, createServer } from 'node:net';
import {
  buffers,
  type Codec,
  type DecodingOptions,
  decode,
  encode,
  type Framed,
  type FramedOptions,
  FrameError,
  type FrameErrorCode,
  framed,
  json,
  type LengthField,
  LengthPrefixDecoder,
  LengthPrefixEncoder,
  type Memory,
  type Message,
  type MessageDuplex,
  type MessageTransform,
  text,
} from 'length-prefix';

// What is declared is what happens, with no cast. It is compiled and run as a user's program.

/** All that comes out for what goes in. */
async function through<T>(encoder: LengthPrefixEncoder<T>, values: T[], decoder: { write(bytes: Buffer): boolean }) {
  for (const value of values) encoder.write(value);
  encoder.end();
  const chunks: Uint8Array[] = [];
  for await (const chunk of encoder) chunks.push(chunk);
  decoder.write(Buffer.concat(chunks));
}

async function decoders(): Promise<void> {
  const messages: Message[] = ['a', Uint8Array.of(98), ['c', Buffer.from('d')], { length: 1, body: ['e'] }, ''];

  const plain = new LengthPrefixDecoder();
  await through(new LengthPrefixEncoder(), messages, plain);
  const first = plain.read();
  assert.equal(first?.toString('latin1'), 'a');
  plain.end();
  const rest: string[] = [];
  for await (const message of plain) rest.push(message.toString('latin1'));
  assert.deepEqual(rest, ['b', 'cd', 'e', '']);

  const batches = new LengthPrefixDecoder({ batch: true });
  await through(new LengthPrefixEncoder(), messages, batches);
  batches.end();
  const [batch] = await batches.toArray();
  assert.deepEqual(
    batch?.map((message) => message.length),
    [1, 1, 2, 1, 0],
  );

  const decoded = new LengthPrefixDecoder({ ...text, lengthField: 'varint' });
  decoded.on('data', (line) => assert.equal(line.toUpperCase(), 'HELLO'));
  await through(new LengthPrefixEncoder({ lengthField: 'varint' }), ['hello'], decoded);

  const streamed = new LengthPrefixDecoder({ stream: true });
  await through(new LengthPrefixEncoder(), ['hello'], streamed);
  const message = streamed.read();
  assert.equal(message?.length.toFixed(1), '5.0');
  for await (const chunk of message?.body ?? []) assert.equal(String(chunk), 'hello');
}

async function codecs(): Promise<void> {
  interface Point {
    readonly x: number;
    readonly y: number;
  }
  const points: Codec<Point> = json;
  const decoder = new LengthPrefixDecoder(points);
  await through(new LengthPrefixEncoder(points), [{ x: 1, y: 2 }], decoder);
  const point = decoder.read();
  assert.equal((point?.x ?? 0) + (point?.y ?? 0), 3);

  const numbers = {
    decode: (bytes: Buffer, start: number) => bytes.readInt8(start),
    encode: (value: number | bigint) => Uint8Array.of(Number(value)),
  };
  const counted = new LengthPrefixDecoder({ ...numbers, batch: true });
  await through(new LengthPrefixEncoder(numbers), [1, 2n], counted);
  assert.deepEqual(
    counted.read()?.map((value) => value.toFixed(0)),
    ['1', '2'],
  );
}

async function fields(): Promise<void> {
  const octetCount: LengthField = {
    maxWidth: 8,
    read(bytes, start, end) {
      const space = bytes.subarray(start, end).indexOf(0x20);
      if (space === -1) return undefined;
      return { length: Number(bytes.subarray(start, start + space)), width: space + 1 };
    },
    write: (length) => Buffer.from(`${length} `),
  };
  // An option that is there and undefined is one that is not there.
  const options = { lengthField: octetCount, maxPayloadLength: undefined, signal: undefined };
  const decoder = new LengthPrefixDecoder(options);
  const failed = new Promise<FrameErrorCode>((resolve) => {
    decoder.on('error', (error) => error instanceof FrameError && resolve(error.code));
  });
  decoder.end('12345678');
  decoder.resume();
  assert.equal(await failed, 'ERR_FRAME_CORRUPT');
}

/** As a user's own code passes a stream of messages on. */
class Chat {
  readonly #messages: Framed<string, string>;

  constructor(messages: Framed<string, string>) {
    this.#messages = messages;
  }

  async ask(question: string): Promise<string | undefined> {
    this.#messages.write(question);
    for await (const answer of this.#messages) return answer;
    return undefined;
  }
}

async function duplexes(): Promise<void> {
  const options: FramedOptions<false, string, false, string> = { ...text, highWaterMark: 16 };
  const server = createServer(async (socket) => {
    const messages = framed(socket, options);
    for await (const message of messages) messages.write(message.toUpperCase());
  }).listen(0);
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const chat = new Chat(framed(connect(address.port), options));
  assert.equal(await chat.ask('hello'), 'HELLO');
  server.close();
}

/** Bytes in hand need no stream. */
function inHand(): void {
  const options: DecodingOptions<true, string, false> = { ...text, batch: true };
  const [lines] = decode([encode('hello'), encode(['wor', 'ld'])], options);
  assert.deepEqual(
    lines?.map((line) => line.toUpperCase()),
    ['HELLO'],
  );
  const [message] = decode(encode({ a: 1 }, json), { copy: true });
  assert.equal(message?.toString('latin1'), '{"a":1}');
  const memory: Memory<Buffer> = buffers;
  assert.equal(memory.encode('68', 'hex').readUInt8(), 0x68);
}

/** A function of the user's own that takes any stream of messages. */
function lengths<Out>(stream: MessageDuplex<Buffer, Out> | MessageTransform<Buffer, Out>): Promise<number[]> {
  return stream.map((message: Buffer) => message.length).toArray();
}

async function anyStream(): Promise<void> {
  const decoder = new LengthPrefixDecoder();
  decoder.end(Buffer.concat([encode('a'), encode('bc')]));
  assert.deepEqual(await lengths(decoder), [1, 2]);
  // @ts-expect-error: not known
  assert.throws(() => new LengthPrefixDecoder({ maxFrameLength: 100 }), { code: 'ERR_INVALID_ARG_VALUE' });
}

await decoders();
await codecs();
await fields();
await duplexes();
inHand();
await anyStream();
console.log('all as declared');
