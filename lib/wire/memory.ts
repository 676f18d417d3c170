/** A `Uint8Array` whose memory is not shared. TypeScript before 5.7 does not know `Uint8Array<ArrayBuffer>`. */
export type Bytes = ReturnType<Uint8Array['slice']>;

/** How bytes are made: as `Buffer`s by `buffers` of `length-prefix`, or as plain `Uint8Array`s by {@link uint8Arrays}. */
export interface Memory<M extends Uint8Array> {
  /** The class of the bytes. */
  readonly View: {
    /** A view of `length` bytes of `buffer`. */
    new (buffer: ArrayBufferLike, byteOffset: number, length: number): M;
    /** A copy, in memory that nothing else uses. */
    new (bytes: Uint8Array): M;
  };
  /** New memory of `length` bytes that nothing else uses. It need not be zeroed. */
  allocate(length: number): M;
  /** As `allocate`, for short use: small ones may share their memory. */
  allocateShared(length: number): M;
  /** The bytes of a string. Default encoding: UTF-8. */
  encode(text: string, encoding?: string): M;
  /** The most bytes that `allocate` can give. */
  readonly maxLength: number;
}

const utf8 = new TextEncoder();

/** Makes plain `Uint8Array`s, on any platform. Strings are UTF-8. It is the default of `FrameParser` and `FrameBuilder`. */
export const uint8Arrays: Memory<Bytes> = {
  View: Uint8Array as unknown as Memory<Bytes>['View'],
  allocate: (length) => new Uint8Array(length),
  allocateShared: (length) => new Uint8Array(length),
  encode: (text) => utf8.encode(text) as Bytes,
  // The most that all of today's engines can give, on 64-bit machines.
  maxLength: 2 ** 32 - 1,
};

const kindOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!;

/** Tells bytes by their brand: bytes of another realm, such as a test runner's, are no instance of this realm's class. */
export function isBytes(value: unknown): value is Uint8Array {
  return kindOf.call(value) === 'Uint8Array';
}

/** The same bytes as the platform's class. */
export function viewOf<M extends Uint8Array>(bytes: Uint8Array, memory: Memory<M>, from = 0): M {
  return new memory.View(bytes.buffer, bytes.byteOffset + from, bytes.length - from);
}

/** The parts joined. */
export function concat<M extends Uint8Array>(parts: readonly Uint8Array[], memory: Memory<M>): M {
  const whole = memory.allocate(lengthOf(parts));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The sum of the parts' lengths. */
export function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
