/** Work in memory, without sockets. */
import { PassThrough } from 'readable-stream';
import { CHUNK, cut, messagesOf, PAYLOADS, Tally, uint32le, wireOf, writeAll } from './bytes.js';
import { allOf, perMessage, TIME } from './jobs.js';
import { BATCH, load, OURS, ours, PEERS, STREAM_PEERS } from './packages.js';

const LOOP = 'bare loop';

const SMALL = { measures: [TIME], sizesOf: 'payload', sizes: [16], quick: [16] };

function workload(name, title, floor, contestants, settings) {
  return { ...SMALL, name, title, floor, contestants, ...settings };
}

/** Work that calls `take` for as many messages as there are. Fails when it is called for others. */
function counted(messages, work) {
  return perMessage(messages.length, async () => {
    let seen = 0;
    const result = await work((count) => {
      seen += count;
    });
    if (seen !== messages.length) throw new Error(`${seen} messages came, not ${messages.length}`);
    return result; // Else its making could be optimized away.
  });
}

// Decoding

const decoding = (reading) => (name) => async (size) => {
  const contestant = await load(name);
  const messages = messagesOf(size);
  const chunks = wireOf(messages, contestant.prefix);
  return perMessage(messages.length, async () => {
    const tally = new Tally();
    const all = tally.expect(messages.length, size);
    await contestant.decode(chunks, reading, tally.take);
    await all;
  });
};

/** The least that decoding can be: no stream, and chunks of whole frames, so that nothing is carried over. */
const loop = (use) => async (size) => {
  const messages = messagesOf(size);
  const length = 4 + size;
  const chunks = wireOf(messages, uint32le, Math.max(1, Math.floor(CHUNK / length)) * length);
  return counted(messages, (take) => {
    let used = 0;
    for (const chunk of chunks) {
      let count = 0;
      for (let at = 0; at < chunk.length; count++) {
        const start = at + 4;
        at = start + chunk.readUInt32LE(at);
        used += use(chunk, start, at);
      }
      take(count);
    }
    return used;
  });
};

const view = (chunk, start, end) => chunk.subarray(start, end).length;
const copy = (chunk, start, end) => Buffer.from(chunk.subarray(start, end)).length;
/** A value of the first and the last byte, without a view. */
const value = (chunk, start, end = chunk.length) => chunk[start] + chunk[end - 1];

/** Our decoder, with options of the package's. */
const decoder =
  (optionsOf, payloads = messagesOf) =>
  async (size) => {
    const { LengthPrefixDecoder, ...names } = await ours();
    const options = optionsOf(names);
    const messages = payloads(size);
    const chunks = wireOf(messages, uint32le);
    return counted(messages, async (take) => {
      const stream = new LengthPrefixDecoder(options);
      const ended = endOf(stream.on('data', options.batch ? (batch) => take(batch.length) : () => take(1)));
      await writeAll(stream, chunks);
      stream.end();
      await ended;
    });
  };

function endOf(stream) {
  return new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
}

async function* iterated(messages) {
  yield* messages;
}

const passThrough = async (size) => {
  const messages = messagesOf(size);
  return counted(messages, async (take) => {
    const stream = new PassThrough({ objectMode: true });
    const written = writeAll(stream, messages).then(() => stream.end());
    for await (const _ of stream) take(1);
    await written;
  });
};

const iterator = async (size) => {
  const messages = messagesOf(size);
  return counted(messages, async (take) => {
    for await (const _ of iterated(messages)) take(1);
  });
};

const greeting = (n) => ({ from: 'alice', text: 'hello there', n });
const jsonsOf = () => Array.from({ length: 20_000 }, (_, n) => Buffer.from(JSON.stringify(greeting(n))));
const textsOf = () => Array.from({ length: 20_000 }, (_, n) => Buffer.from(`hello ${n}`));

/** What a codec does with a message's bytes, and nothing else. */
const each = (payloads, use) => async (size) => {
  const messages = payloads(size);
  return counted(messages, (take) => {
    let used = 0;
    for (const message of messages) used += use(message);
    take(messages.length);
    return used;
  });
};

const FRAME = 64 * 1024 * 1024;
/** In the place of a number of messages: the time of one is in nanoseconds. */
const MILLISECONDS = 1e6;

const oneFrame = (name) => async (chunkLength) => {
  const contestant = await load(name);
  // Small ones are the same over and over: a million of them would keep the garbage collector busy.
  const different = cut(Buffer.alloc(Math.min(FRAME, 16_384 * chunkLength), 1), chunkLength);
  const whole = Array.from({ length: FRAME / chunkLength }, (_, i) => different[i % different.length]);
  const chunks = [contestant.prefix(FRAME), ...whole];
  return perMessage(MILLISECONDS, async () => {
    const tally = new Tally();
    const all = tally.expect(1, FRAME);
    await contestant.decode(chunks, 'data', tally.take);
    await all;
  });
};

const oneCopy = async () => {
  const frame = Buffer.alloc(FRAME, 1);
  return perMessage(MILLISECONDS, () => frame.copy(Buffer.allocUnsafeSlow(FRAME)));
};

// Encoding

const encoding = (name) => async (size) => {
  const contestant = await load(name);
  const messages = messagesOf(size);
  const due = messages.length * (contestant.prefix(size).length + size);
  return perMessage(messages.length, async () => {
    const bytes = await contestant.encode(messages);
    if (bytes !== due) throw new Error(`${bytes} bytes came, not ${due}`);
  });
};

/** Our encoder, with options of the package's and such messages. */
const encoder = (optionsOf, make) => async () => {
  const { LengthPrefixEncoder, ...names } = await ours();
  const options = optionsOf(names);
  const messages = Array.from({ length: 20_000 }, (_, n) => make(n));
  return perMessage(messages.length, async () => {
    const stream = new LengthPrefixEncoder(options).on('data', () => {});
    const ended = endOf(stream);
    await writeAll(stream, messages);
    stream.end();
    await ended;
  });
};

/** Writes the length and copies the message, into memory that is used again. */
const copying = async (size) => {
  const messages = messagesOf(size);
  const to = Buffer.allocUnsafeSlow(Math.max(CHUNK, 4 + size));
  return counted(messages, (take) => {
    let at = 0;
    for (const message of messages) {
      if (at + 4 + size > to.length) at = 0;
      at = to.writeUInt32LE(message.length, at);
      at += message.copy(to, at);
    }
    take(messages.length);
  });
};

const bytes16 = (n) => Buffer.alloc(16, n);
const plain = () => ({});
const postgres = ({ formats }) => formats.postgres;

// Web streams

/** A pair of web streams, written by one writer at its pace and read to its end. An item read is `countOf(item)` messages. */
const web = (pairOf, itemsOf, countOf) => async (size) => {
  const names = await import('../../../dist/bundle/web/index.js');
  const messages = messagesOf(size).slice(0, 20_000);
  const items = itemsOf(messages).map((item) => new Uint8Array(item));
  return counted(messages, async (take) => {
    const { readable, writable } = pairOf(names);
    const writer = writable.getWriter();
    const write = async () => {
      for (const item of items) {
        await writer.ready;
        writer.write(item);
      }
      await writer.close();
    };
    const written = write();
    for await (const item of readable) take(countOf(item));
    await written;
  });
};

const one = () => 1;
const lengthOf = (batch) => batch.length;
const framesIn = (bytes) => bytes.length / 20;
const wire = (messages) => wireOf(messages, uint32le);
const same = (messages) => messages;

/** With the package's name in front of each. */
function forms(jobs) {
  return Object.fromEntries(Object.entries(jobs).map(([name, job]) => [`${OURS}, ${name}`, job]));
}

const allSizes = { sizes: PAYLOADS };

export const inProcess = [
  workload(
    'decode-data',
    "Decode, 'data' listener",
    LOOP,
    { ...allOf([OURS, BATCH, ...STREAM_PEERS], decoding('data')), [LOOP]: loop(view) },
    allSizes,
  ),
  workload(
    'decode-writable',
    'Decode, piped to an object-mode Writable',
    LOOP,
    { ...allOf([OURS, ...STREAM_PEERS], decoding('writable')), [LOOP]: loop(view) },
    { sizes: [16, 4096] },
  ),
  workload(
    'decode-for-await',
    'Decode, for await',
    'object-mode PassThrough',
    {
      ...allOf([OURS, BATCH, ...PEERS], decoding('for await')),
      'object-mode PassThrough': passThrough,
      'bare async iterator': iterator,
    },
    { sizes: [16, 4096] },
  ),
  workload('decode-values', 'Decode with `decode`, which makes no view', LOOP, {
    ...forms({ decode: decoder(() => ({ decode: value })), batch: decoder(() => ({ batch: true, decode: value })) }),
    [LOOP]: loop(value),
  }),
  workload('decode-copy', 'Decode with `copy: true`', `${OURS}, views`, {
    ...forms({
      'copy: true': decoder(() => ({ copy: true })),
      'copy: true, batch': decoder(() => ({ copy: true, batch: true })),
      views: decoder(plain),
      'views, batch': decoder(() => ({ batch: true })),
    }),
    'bare loop that copies': loop(copy),
  }),
  workload('decode-json', 'Decode with `json`, 47 bytes', 'JSON.parse', {
    ...forms({
      json: decoder(({ json }) => json, jsonsOf),
      'json, batch': decoder(({ json }) => ({ ...json, batch: true }), jsonsOf),
    }),
    'JSON.parse': each(jsonsOf, (message) => JSON.parse(message.toString()).n),
  }),
  workload('decode-text', 'Decode with `text`, 11 bytes', 'buffer.toString()', {
    ...forms({
      text: decoder(({ text }) => text, textsOf),
      'text, batch': decoder(({ text }) => ({ ...text, batch: true }), textsOf),
    }),
    'buffer.toString()': each(textsOf, (message) => message.toString().length),
  }),
  workload(
    'decode-one-frame',
    'Decode one frame of 64 MiB',
    'one Buffer.copy',
    { ...allOf([OURS, ...PEERS], oneFrame), 'one Buffer.copy': oneCopy },
    { measures: [{ name: 'time', unit: 'ms' }], sizesOf: 'chunk', sizes: [65_536, 4096, 64], quick: [65_536] },
  ),
  workload('encode', 'Encode', 'one copy', { ...allOf([OURS, ...PEERS], encoding), 'one copy': copying }, allSizes),
  workload(
    'encode-formats',
    'Encode messages of other forms',
    `${OURS}, a plain message`,
    forms({
      'in parts, [4, 16]': encoder(plain, (n) => [Buffer.alloc(4, n), bytes16(n)]),
      "PostgreSQL's format": encoder(postgres, (n) => Buffer.concat([Buffer.from('Q'), bytes16(n)])),
      "PostgreSQL's format, [1, 16]": encoder(postgres, (n) => [Buffer.from('Q'), bytes16(n)]),
      varint: encoder(() => ({ lengthField: 'varint' }), bytes16),
      'a plain message': encoder(plain, bytes16),
    }),
  ),
  workload('encode-json', 'Encode with `json`', 'JSON.stringify', {
    ...forms({ json: encoder(({ json }) => json, greeting) }),
    'JSON.stringify': each(
      () => Array.from({ length: 20_000 }, (_, n) => greeting(n)),
      (message) => Buffer.from(JSON.stringify(message)).length,
    ),
  }),
  workload('web', 'Web streams', 'identity TransformStream', {
    ...forms({
      encode: web(({ LengthPrefixEncoderStream }) => new LengthPrefixEncoderStream(), same, framesIn),
      decode: web(({ LengthPrefixDecoderStream }) => new LengthPrefixDecoderStream(), wire, one),
      'decode, batch': web(
        ({ LengthPrefixDecoderStream }) => new LengthPrefixDecoderStream({ batch: true }),
        wire,
        lengthOf,
      ),
    }),
    'identity TransformStream': web(() => new TransformStream(), same, one),
  }),
];
