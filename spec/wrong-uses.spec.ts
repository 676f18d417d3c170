import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import process from 'node:process';
import { compose, PassThrough } from 'node:stream';
import { expect } from 'chai';
import { anyCut, checkAnyCut, Recut } from '../lib/fuzz/index.js';
import { decode, encode, formats, framed, json, LengthPrefixDecoder, LengthPrefixEncoder, text } from '../lib/index.js';
import * as web from '../lib/web/index.js';
import { FrameBuilder, FrameParser } from '../lib/wire/index.js';

// Wrong uses, and what the user is told: one row, one message. Types are no help here: each is what JavaScript lets through.
const any = (value: unknown): any => value;

const MESSAGES =
  'The "message" argument must be a string, a Buffer, a Uint8Array, an array of these, or { length, body }';
const IN_HAND = 'The "message" argument must be a string, a Buffer, a Uint8Array, or an array of these';
const CODEC = 'another value needs a codec, such as { ...json }, or the option encode';
const STREAM = 'The "stream" argument must be a Duplex, or an object with a readable and a writable stream';
const RETURNED =
  "Frame at byte 0: the message can't be encoded: Expected a string, a Buffer, a Uint8Array, an array of these, " +
  'or { length, body } to be returned from the "encode" function but got';

/** The error of a write, thrown or emitted. */
async function written(value: unknown, options = {}): Promise<void> {
  const encoder = new LengthPrefixEncoder(options);
  const failed = once(encoder, 'error').then(([error]) => Promise.reject(error));
  // What is thrown is told first.
  failed.catch(() => {});
  encoder.write(any(value));
  await failed;
}

async function writtenToWeb(value: unknown, options = {}): Promise<void> {
  const encoder = new web.LengthPrefixEncoderStream(options);
  const reader = encoder.readable.getReader();
  const writer = encoder.writable.getWriter();
  writer.write(any(value)).catch(() => {});
  writer.closed.catch(() => {});
  await reader.read();
}

/** The error of a decoder that gets the frame of these bytes. */
async function decodedOf(bytes: string, options = {}): Promise<void> {
  const decoder = new LengthPrefixDecoder(options);
  decoder.resume().end(encode(bytes));
  await once(decoder, 'close');
  throw decoder.errored;
}

async function framedChild(make: (child: ReturnType<typeof spawn>) => unknown): Promise<void> {
  const child = spawn(process.execPath, ['--version'], { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    framed(any(make(child)));
  } finally {
    child.stdout!.resume();
    await once(child, 'close');
  }
}

function framedTwice(first: object, second: object): void {
  const stream = new PassThrough();
  framed(stream, first);
  framed(stream, second);
}

const wire = encode('a');
const messages = [Buffer.from('a')];

type Use = [use: string, act: () => unknown, code: string, message: string];

const uses: Use[] = [
  // Writing.
  [
    'write({ a: 1 })',
    () => written({ a: 1 }),
    'ERR_INVALID_ARG_TYPE',
    `${MESSAGES}; ${CODEC}. Received an instance of Object`,
  ],
  ['write(5)', () => written(5), 'ERR_INVALID_ARG_TYPE', `${MESSAGES}; ${CODEC}. Received type number (5)`],
  ['write(() => {})', () => written(() => {}), 'ERR_INVALID_ARG_TYPE', `${MESSAGES}; ${CODEC}. Received function `],
  ['write([5])', () => written([5]), 'ERR_INVALID_ARG_TYPE', `${MESSAGES}; ${CODEC}. Received type number (5)`],
  ['write(null)', () => written(null), 'ERR_STREAM_NULL_VALUES', 'May not write null values to stream'],
  [
    'write(promise)',
    () => written(Promise.resolve('a')),
    'ERR_INVALID_ARG_TYPE',
    `${MESSAGES}; await this promise, and write its result. Received an instance of Promise`,
  ],
  [
    'write(arrayBuffer)',
    () => written(new ArrayBuffer(1)),
    'ERR_INVALID_ARG_TYPE',
    `${MESSAGES}; wrap this one: new Uint8Array(buffer). Received an instance of ArrayBuffer`,
  ],
  [
    'write(dataView)',
    () => written(new DataView(new ArrayBuffer(1))),
    'ERR_INVALID_ARG_TYPE',
    `${MESSAGES}; wrap the memory of this view in a Uint8Array. Received an instance of DataView`,
  ],
  [
    'write({ body }) without a length',
    () => written({ body: 'a' }),
    'ERR_INVALID_ARG_TYPE',
    'The "message.length" property must be of type number. Received undefined',
  ],
  [
    'write({ length, body: 5 })',
    () => written({ length: 1, body: 5 }),
    'ERR_INVALID_ARG_TYPE',
    'The "message.body" property must be a stream, an iterable, a string, a Buffer or a Uint8Array. Received type number (5)',
  ],
  [
    'write({ length, body: blob })',
    () => written({ length: 1, body: new Blob(['a']) }),
    'ERR_INVALID_ARG_TYPE',
    'The "message.body" property must be a stream, an iterable, a string, a Buffer or a Uint8Array; for a Blob, use blob.stream(). Received an instance of Blob',
  ],
  [
    '/web: write({ a: 1 })',
    () => writtenToWeb({ a: 1 }),
    'ERR_INVALID_ARG_TYPE',
    `${MESSAGES}; ${CODEC}. Received an instance of Object`,
  ],
  [
    'encode({ a: 1 })',
    () => encode(any({ a: 1 })),
    'ERR_INVALID_ARG_TYPE',
    `${IN_HAND}; another value needs a codec, as in encode(value, json), or the option encode. Received an instance of Object`,
  ],
  [
    'encode({ length, body })',
    () => encode(any({ length: 1, body: 'a' })),
    'ERR_INVALID_ARG_TYPE',
    `${IN_HAND}; write a { length, body } to a stream. Received an instance of Object`,
  ],
  [
    'builder.add({ length, body })',
    () => new FrameBuilder().add(any({ length: 1, body: 'a' })),
    'ERR_INVALID_ARG_TYPE',
    `${IN_HAND}. Received an instance of Object`,
  ],

  // Codecs.
  [
    'json: write(null)',
    () => written(null, json),
    'ERR_STREAM_NULL_VALUES',
    'May not write null values to stream; write an object or an array around it, such as [null]',
  ],
  [
    'json: write(NaN)',
    () => written(Number.NaN, json),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: the message can't be encoded: JSON writes NaN as null, which a stream can't hand out; write an object or [null]",
  ],
  [
    'json: write(() => {})',
    () => written(() => {}, json),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: the message can't be encoded: JSON has no way to write a value of type function",
  ],
  [
    'json: null comes',
    () => decodedOf('null', json),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: a message of 4 bytes was decoded as null, which a stream can't hand out; null can be sent inside an object or an array, such as [null]",
  ],
  [
    'text: write(5)',
    () => written(5, text),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: the message can't be encoded: 'text' writes strings only. Received type number (5)",
  ],
  [
    'text: encode(5)',
    () => encode(any(5), text),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: the message can't be encoded: 'text' writes strings only. Received type number (5)",
  ],
  [
    'an async encode',
    () => written('a', { encode: async () => 'a' }),
    'ERR_FRAME_CORRUPT',
    `${RETURNED} a promise. 'encode' can't be asynchronous.`,
  ],
  [
    'an encode that returns nothing',
    () => written('a', { encode: () => {} }),
    'ERR_FRAME_CORRUPT',
    `${RETURNED} undefined.`,
  ],
  [
    '/web: an async encode',
    () => writtenToWeb('a', { encode: async () => 'a' }),
    'ERR_FRAME_CORRUPT',
    `${RETURNED} a promise. 'encode' can't be asynchronous.`,
  ],
  [
    'an async decode',
    () => decodedOf('a', { decode: async () => 1 }),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: 'decode' returned a promise, and can't be asynchronous; await in the reader, as in decoder.map(fn)",
  ],
  [
    'an async decode that fails',
    () =>
      decodedOf('a', {
        decode: async () => {
          throw new Error('later');
        },
      }),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: 'decode' returned a promise, and can't be asynchronous; await in the reader, as in decoder.map(fn)",
  ],
  [
    'a decode that returns nothing',
    () => decodedOf('a', { decode: () => {} }),
    'ERR_FRAME_CORRUPT',
    "Frame at byte 0: a message of 1 byte was decoded as undefined, which a stream can't hand out",
  ],

  // framed.
  [
    'framed(webStreams)',
    () => framed(any(new TransformStream())),
    'ERR_INVALID_ARG_TYPE',
    `${STREAM}; for web streams, length-prefix/web has LengthPrefixDecoderStream and LengthPrefixEncoderStream. Received an instance of TransformStream`,
  ],
  [
    'framed(child)',
    () => framedChild((child) => child),
    'ERR_INVALID_ARG_TYPE',
    `${STREAM}; a child process is { readable: child.stdout, writable: child.stdin }. Received an instance of ChildProcess`,
  ],
  [
    'framed({ stdout, stdin })',
    () => framedChild(({ stdout, stdin }) => ({ stdout, stdin })),
    'ERR_INVALID_ARG_TYPE',
    `${STREAM}; a child process is { readable: child.stdout, writable: child.stdin }. Received an instance of Object`,
  ],
  [
    'framed(server)',
    () => framed(any(createServer())),
    'ERR_INVALID_ARG_TYPE',
    `${STREAM}; frame each socket of the server's 'connection' event. Received an instance of Server`,
  ],
  ['framed()', () => framed(any(undefined)), 'ERR_INVALID_ARG_TYPE', `${STREAM}. Received undefined`],
  [
    'framed(stream) after setEncoding',
    () => framed(new PassThrough().setEncoding('utf8')),
    'ERR_INVALID_ARG_VALUE',
    "The argument 'stream' must be a stream of bytes, without setEncoding(). Received an instance of PassThrough",
  ],
  [
    'framed(stream, options) twice',
    () => framedTwice({ lengthField: 'uint8' }, { lengthField: 'varint' }),
    'ERR_INVALID_ARG_VALUE',
    "The argument 'stream' must be a stream that is not framed yet, unless the options are the same: the first call had lengthField: 'uint8'. Received an instance of PassThrough",
  ],

  // Options.
  [
    '{ maxFrameLength }',
    () => new LengthPrefixDecoder(any({ maxFrameLength: 5 })),
    'ERR_INVALID_ARG_VALUE',
    "The property 'options.maxFrameLength' must be left out: it is not an option, the nearest option is 'maxPayloadLength'. Received type number (5)",
  ],
  [
    '{ endian }',
    () => new LengthPrefixDecoder(any({ endian: 'big' })),
    'ERR_INVALID_ARG_VALUE',
    "The property 'options.endian' must be left out: it is not an option, the nearest option is 'lengthField', such as lengthField: 'uint16be'. Received 'big'",
  ],
  [
    '{ objectMode }',
    () => new LengthPrefixDecoder(any({ objectMode: true })),
    'ERR_INVALID_ARG_VALUE',
    "The property 'options.objectMode' must be left out: one side is messages, the other is bytes. Received type boolean (true)",
  ],
  [
    "{ lengthField: 'uint32' }",
    () => encode('a', any({ lengthField: 'uint32' })),
    'ERR_INVALID_ARG_VALUE',
    "or a LengthField, the nearest is 'uint32le'. Received 'uint32'",
  ],
  [
    "{ lengthField: 'UInt16BE' }",
    () => encode('a', any({ lengthField: 'UInt16BE' })),
    'ERR_INVALID_ARG_VALUE',
    "or a LengthField, the nearest is 'uint16be'. Received 'UInt16BE'",
  ],
  [
    "{ lengthField: 'int8' }",
    () => encode('a', any({ lengthField: 'int8' })),
    'ERR_INVALID_ARG_VALUE',
    "or a LengthField, the nearest is 'uint8'. Received 'int8'",
  ],
  [
    "{ lengthField: 'length' }",
    () => encode('a', any({ lengthField: 'length' })),
    'ERR_INVALID_ARG_VALUE',
    "'uint64be', or a LengthField. Received 'length'",
  ],
  [
    '{ lengthField: 4 }',
    () => encode('a', any({ lengthField: 4 })),
    'ERR_INVALID_ARG_TYPE',
    `The "options.lengthField" property must be a name such as 'uint32be', or a LengthField. Received type number (4)`,
  ],
  ...(
    [
      ['5', () => 5, 'type number (5)'],
      ['null', () => null, 'null'],
      ['a promise', async () => ({ length: 1, width: 1 }), 'an instance of Promise'],
      ['{ value }', () => ({ value: 1 }), 'an instance of Object'],
    ] as const
  ).map(
    ([what, read, received]): Use => [
      `a LengthField whose read returns ${what}`,
      () => decodedOf('a', { lengthField: { maxWidth: 4, read, write: () => Buffer.alloc(4) } }),
      'ERR_FRAME_CORRUPT',
      "Frame at byte 0: the length field can't be read: Expected { length, width } or undefined to be returned from the " +
        `"lengthField.read" function but got ${received}.`,
    ],
  ),
  [
    '[] for options',
    () => new LengthPrefixDecoder(any([])),
    'ERR_INVALID_ARG_TYPE',
    'The "options" argument must be an object. Received an instance of Array',
  ],
  [
    "'varint' for options",
    () => new LengthPrefixDecoder(any('varint')),
    'ERR_INVALID_ARG_TYPE',
    `The "options" argument must be an object. Received 'varint'`,
  ],

  [
    'a long string for options',
    () => new LengthPrefixDecoder(any('x'.repeat(1000))),
    'ERR_INVALID_ARG_TYPE',
    `The "options" argument must be an object. Received '${'x'.repeat(25)}...'`,
  ],

  // Bytes in hand, and without streams.
  [
    'decode(5)',
    () => decode(any(5)),
    'ERR_INVALID_ARG_TYPE',
    'The "source" argument must be bytes, or an iterable of them. Received type number (5)',
  ],
  [
    'parser.push(string)',
    () => new FrameParser().push(any('a')),
    'ERR_INVALID_ARG_TYPE',
    'The "chunk" argument must be an ArrayBuffer, or a view of one such as Uint8Array. Received \'a\'',
  ],

  ...[FrameParser, FrameBuilder].map(
    (kind): Use => [
      `new ${kind.name}(options, Buffer)`,
      () => new (any(kind))({}, Buffer),
      'ERR_INVALID_ARG_TYPE',
      `The "memory" argument must be 'buffers' of length-prefix, or left out. Received function Buffer`,
    ],
  ),

  // The fuzzing kit.
  [
    'checkAnyCut with { run }',
    () => checkAnyCut(() => new LengthPrefixDecoder(), wire, messages, any({ run: 5 })),
    'ERR_INVALID_ARG_VALUE',
    "The property 'options.run' must be left out: it is not an option, the nearest option is 'runs'. Received type number (5)",
  ],
  [
    'checkAnyCut(new Decoder())',
    () => checkAnyCut(any(new LengthPrefixDecoder()), wire, messages),
    'ERR_INVALID_ARG_TYPE',
    'The "decoder" argument must be a function that makes a decoder, such as () => new MyDecoder(). Received an instance of LengthPrefixDecoder',
  ],
  [
    'checkAnyCut(() => theSame)',
    () => {
      const same = new LengthPrefixDecoder();
      return checkAnyCut(() => same, wire, messages);
    },
    'ERR_INVALID_RETURN_VALUE',
    'Expected a new decoder for each cut to be returned from the "decoder" function but got the same one again.',
  ],
  ...(
    [
      ['() => {}', () => {}, 'undefined'],
      ['() => ({})', () => ({}), 'an instance of Object'],
      ['(chunks) => decode(wire)', () => decode(wire), 'an instance of Object'],
      ['() => MyDecoder', () => LengthPrefixDecoder, 'function LengthPrefixDecoder'],
    ] as const
  ).map(
    ([what, make, received]): Use => [
      `checkAnyCut(${what})`,
      () => checkAnyCut(any(make), wire, messages),
      'ERR_INVALID_RETURN_VALUE',
      'Expected a Transform, a TransformStream or an async iterable to be returned from the "decoder" function ' +
        `but got ${received}.`,
    ],
  ),
  [
    "anyCut('abc')",
    () => anyCut(any('abc')),
    'ERR_INVALID_ARG_TYPE',
    `The "bytes" argument must be a Buffer or Uint8Array. Received 'abc'`,
  ],
  [
    'anyCut with { bound }',
    () => anyCut(wire, any({ bound: 5 })),
    'ERR_INVALID_ARG_VALUE',
    "The property 'options.bound' must be left out: it is not an option, the nearest option is 'boundaries'. Received type number (5)",
  ],
  [
    'new Recut({ size })',
    () => new Recut(any({ size: 5 })),
    'ERR_INVALID_ARG_VALUE',
    "The property 'options.size' must be left out: it is not an option, the nearest option is 'sizes'. Received type number (5)",
  ],

  // Peers of another protocol.
  [
    'HTTP comes',
    () => [...decode(Buffer.from('GET / HTTP/1.1\r\n'))],
    'ERR_FRAME_TOO_LONG',
    'Frame at byte 0: a payload of 542393671 bytes is announced, at most 16777216 are allowed (maxPayloadLength); its first bytes, "GET ", look like HTTP',
  ],
  [
    'JSON comes',
    () => [...decode(Buffer.from('{"a":1}'))],
    'ERR_FRAME_TOO_LONG',
    'Frame at byte 0: a payload of 576791163 bytes is announced, at most 16777216 are allowed (maxPayloadLength); its first bytes, "{\\"a\\"", look like JSON with no length in front',
  ],
  [
    'a format of the other byte order comes',
    () => [...decode(encode('abc', formats.erlangPacket4))],
    'ERR_FRAME_TOO_LONG',
    'Frame at byte 0: a payload of 50331648 bytes is announced, at most 16777216 are allowed (maxPayloadLength); read as big-endian it would be 3 bytes',
  ],
];

describe('a wrong use', () => {
  for (const [use, act, code, message] of uses) {
    it(`${use}: ${code}`, async () => {
      let error: any;
      try {
        await act();
      } catch (thrown) {
        error = thrown;
      }
      expect(error, 'nothing was thrown').to.have.property('code', code);
      const { message: told } = error;
      // Where only the end is given, the beginning is a list of all names.
      expect(told.slice(-message.length)).to.equal(message);
    });
  }
});

describe('a use that looks wrong, and is right:', () => {
  it('undefined for options, as Node has it', () => {
    expect(encode('a', undefined)).to.deep.equal(encode('a'));
    expect(new LengthPrefixDecoder(undefined).readableObjectMode).to.equal(true);
  });

  it('compose of an encoder and a decoder of values', async () => {
    const through = compose(new LengthPrefixEncoder(json), new LengthPrefixDecoder(json));
    through.end({ a: 1 });
    expect(await through.toArray()).to.deep.equal([{ a: 1 }]);
  });
});
