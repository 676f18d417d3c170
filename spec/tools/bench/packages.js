/** What carries messages over a byte stream, each in the wire format that it has by default. */
import { createServer } from 'node:http';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { CHUNK, compactSize, drained, messagesOf, uint32be, uint32le, varint, wireOf, writeAll } from './bytes.js';

export const OURS = 'length-prefix';
export const BATCH = 'length-prefix, batch';
export const FRAMED = 'length-prefix, framed';
export const STREAM_PEERS = ['frame-stream', 'length-prefixed-stream', 'length-prefix-framed-stream'];
export const PEERS = [...STREAM_PEERS, 'it-length-prefixed'];
export const WS = 'ws';
export const RAW = 'raw socket';
/** Its bytes are copied once, into memory for one large message or many small ones: the least that has to be done. */
export const COPIED = 'raw socket, copied';
export const PASS_THROUGHS = 'two PassThroughs';
export const DUPLEX = 'the smallest Duplex';

/** The package as users get it. */
export const ours = () => import('../../../dist/bundle/index.js');

const LIMIT = { maxPayloadLength: 64 * 1024 * 1024 };

const loaders = {
  async [OURS]() {
    const { LengthPrefixDecoder, LengthPrefixEncoder } = await ours();
    return streams(
      uint32le,
      () => new LengthPrefixEncoder(LIMIT),
      () => new LengthPrefixDecoder(LIMIT),
    );
  },
  async [BATCH]() {
    const { LengthPrefixDecoder, LengthPrefixEncoder } = await ours();
    const tell = (batch, take) => {
      for (const message of batch) take(1, message.length);
    };
    return streams(
      uint32le,
      () => new LengthPrefixEncoder(LIMIT),
      () => new LengthPrefixDecoder({ ...LIMIT, batch: true }),
      tell,
    );
  },
  async [FRAMED]() {
    const { framed } = await ours();
    const connect = (socket, take) => {
      const messages = framed(socket, LIMIT).on('data', (message) => take(1, message.length));
      return sender(messages.on('error', ignore));
    };
    return { prefix: uint32le, connect };
  },

  // The stream peers decode to byte mode by default, where `for await` would join messages.
  async 'frame-stream'() {
    const { Decoder, Encoder } = await import('frame-stream');
    return streams(
      uint32be,
      () => new Encoder(),
      (objectMode) => new Decoder({ readableObjectMode: objectMode }),
    );
  },
  async 'length-prefixed-stream'() {
    const { default: lps } = await import('length-prefixed-stream');
    return streams(
      varint,
      () => lps.encode(),
      (objectMode) => lps.decode({ allowEmpty: objectMode }),
    );
  },
  async 'length-prefix-framed-stream'() {
    const { Decode, Encode } = await import('length-prefix-framed-stream');
    return streams(
      compactSize,
      () => new Encode(),
      (objectMode) => new Decode({ readableObjectMode: objectMode }),
    );
  },
  async 'it-length-prefixed'() {
    return iterables(await import('it-length-prefixed'));
  },

  async [WS]() {
    const { default: WebSocket, WebSocketServer } = await import('ws');
    const options = { perMessageDeflate: false, maxPayload: LIMIT.maxPayloadLength };
    const webSockets = new WebSocketServer({ ...options, noServer: true });
    const waiting = new WeakMap();
    const server = createServer().on('upgrade', (request, socket, head) => {
      webSockets.handleUpgrade(request, socket, head, waiting.get(socket));
    });
    return {
      connect: (socket, take, { isServer }) =>
        new Promise((resolve, reject) => {
          const open = (webSocket) => {
            webSocket.on('message', (message) => take(1, message.length)).on('error', ignore);
            resolve(webSocketSender(webSocket));
          };
          if (isServer) {
            waiting.set(socket, open);
            server.emit('connection', socket);
          } else {
            const webSocket = new WebSocket('ws://localhost', { ...options, createConnection: () => socket });
            webSocket.once('open', () => open(webSocket)).once('error', reject);
          }
        }),
    };
  },

  [RAW]: async () => bare((socket) => [socket, socket]),
  [COPIED]: async () => bare((socket) => [socket, socket], copier),
  async [PASS_THROUGHS]() {
    const { PassThrough } = await import('readable-stream');
    return bare((socket) => {
      const sending = new PassThrough();
      sending.pipe(socket);
      return [socket.pipe(new PassThrough()), sending];
    });
  },
  /** Only to be held: it carries nothing. */
  async [DUPLEX]() {
    const { Duplex } = await import('readable-stream');
    const methods = { read: ignore, write: ignore };
    const connect = (socket) => {
      for (const event of ['data', 'end', 'error', 'close']) socket.on(event, ignore);
      socket[DUPLEX] = new Duplex(methods).on('error', ignore).on('data', ignore);
    };
    return { connect };
  },
};

/**
 * Loads a package where it runs. It has `prefix(length)`, the bytes in front of a message; `decode` and `encode`, for what
 * is in memory (the latter returns the number of bytes); and `connect(socket, take, { size, isServer })`, which calls `take(messages, bytes)` for what comes, and
 * returns what writes messages.
 */
export function load(name) {
  return loaders[name]();
}

/** How messages are taken from a decoder. Each returns when it has ended. */
const readings = {
  data: (decoder, tell) => finished(decoder.on('data', tell)),
  writable: (decoder, tell) => {
    const write = (item, _encoding, callback) => {
      tell(item);
      callback();
    };
    return finished(decoder.pipe(new Writable({ objectMode: true, write })));
  },
  async 'for await'(decoder, tell) {
    for await (const item of decoder) tell(item);
  },
};

function streams(prefix, encoder, decoder, tell = (message, take) => take(1, message.length)) {
  return {
    prefix,
    async decode(chunks, reading, take) {
      const stream = decoder(reading === 'for await');
      const read = readings[reading](stream, (item) => tell(item, take));
      await writeAll(stream, chunks);
      stream.end();
      await read;
    },
    async encode(messages) {
      let bytes = 0;
      const stream = encoder();
      const read = readings.data(stream, (chunk) => {
        bytes += chunk.length;
      });
      await writeAll(stream, messages);
      stream.end();
      await read;
      return bytes;
    },
    connect(socket, take) {
      socket.pipe(decoder(false)).on('data', (item) => tell(item, take));
      const sending = encoder();
      sending.pipe(socket);
      return sender(sending);
    },
  };
}

/** Functions from one iterable to another. */
function iterables({ decode, encode }) {
  const read = async (source, take) => {
    // In one piece, as all others hand it out.
    for await (const message of decode(source, { maxDataLength: LIMIT.maxPayloadLength })) {
      take(1, message.subarray().length);
    }
  };
  return {
    prefix: varint,
    decode: (chunks, _reading, take) => read(asynchronous(chunks), take),
    async encode(messages) {
      let bytes = 0;
      for (const piece of encode(messages)) bytes += piece.length;
      return bytes;
    },
    connect(socket, take) {
      read(socket, take).catch(ignore);
      return {
        ...sender(socket),
        write: (message) => socket.write(encode.single(message).subarray()),
        async send(messages) {
          for (const piece of encode(messages)) if (!socket.write(piece)) await drained(socket);
        },
      };
    },
  };
}

async function* asynchronous(chunks) {
  yield* chunks;
}

/** Prepared frames, and bytes that are counted and no more. Small frames are sent many at a time. */
function bare(ends, copy) {
  const wires = new Map();
  return {
    prefix: uint32le,
    connect(socket, take, { size }) {
      const length = 4 + size;
      if (!wires.has(size)) wires.set(size, wireOf(messagesOf(size), uint32le, Math.max(CHUNK, length)));
      const wire = wires.get(size);
      const frame = Buffer.concat([uint32le(size), Buffer.alloc(size)]);
      const [receiving, sending] = ends(socket);
      const copied = copy?.(Math.max(CHUNK, length));
      let waiting = 0;
      receiving.on('data', (chunk) => {
        copied?.(chunk);
        waiting += chunk.length;
        const whole = Math.floor(waiting / length);
        waiting -= whole * length;
        if (whole > 0) take(whole, whole * size);
      });
      return { ...sender(sending), write: () => sending.write(frame), send: () => writeAll(sending, wire) };
    },
  };
}

/** Copies all bytes into new memory of this length, and then into new memory again. */
function copier(length) {
  let memory = Buffer.allocUnsafeSlow(length);
  let at = 0;
  return (chunk) => {
    for (let from = 0; from < chunk.length; ) {
      const copied = chunk.copy(memory, at, from);
      from += copied;
      at += copied;
      if (at < length) continue;
      memory = Buffer.allocUnsafeSlow(length);
      at = 0;
    }
  };
}

/** Writes one message, or many at the stream's pace. */
function sender(stream) {
  return {
    write: (message) => stream.write(message),
    send: (messages) => writeAll(stream, messages),
  };
}

/** As `ws` has no backpressure of its own, waits for the message that exceeds what a stream holds. */
function webSocketSender(webSocket) {
  return {
    write: (message) => webSocket.send(message),
    async send(messages) {
      for (const message of messages) {
        if (webSocket.bufferedAmount < CHUNK) webSocket.send(message);
        else await new Promise((resolve) => webSocket.send(message, resolve));
      }
    },
  };
}

/** Connections are cut when all that was expected has come. */
function ignore() {}
