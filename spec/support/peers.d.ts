/** The peers that have no types of their own, as far as examples and specs use them. */

declare module 'length-prefixed-stream' {
  export function encode(): import('node:stream').Duplex;
  /** With `allowEmpty`, the readable side is in object mode. */
  export function decode(options?: { limit?: number; allowEmpty?: boolean }): import('node:stream').Duplex;
}

declare module 'length-prefix-framed-stream' {
  import type { Transform, TransformOptions } from 'node:stream';

  export class Encode extends Transform {
    constructor(options?: TransformOptions);
  }
  export class Decode extends Transform {
    constructor(options?: TransformOptions);
  }
}
