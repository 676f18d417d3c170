// Its types are those of node:stream: see lib/node/streams.ts.
declare module 'readable-stream' {
  export {
    addAbortSignal,
    Duplex,
    finished,
    PassThrough,
    pipeline,
    promises,
    Readable,
    Stream,
    Transform,
    Writable,
  } from 'node:stream';
}
