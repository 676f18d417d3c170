/**
 * Tests whether a decoder, of this package or any other, hands out the same messages no matter how its input is cut
 * into chunks. This module needs fast-check.
 *
 * ```ts
 * import { checkAnyCut } from 'length-prefix/fuzz';
 *
 * await checkAnyCut(() => new MyDecoder(), Buffer.from('\x02\0\0\0hi', 'latin1'), [Buffer.from('hi')]);
 * ```
 *
 * @module length-prefix/fuzz
 */
export { anyCut, type CutOptions } from './any-cut.js';
export { anyFormat, anyMessages } from './any-messages.js';
export { type CheckOptions, type CutsTried, checkAnyCut } from './check.js';
export type { Boundaries } from './cut.js';
export { CutError } from './cut-error.js';
export type { AnyDecoder, Decoding, NodeStream, WebStreams } from './drive.js';
export { Recut, type RecutOptions } from './recut.js';
