/** What messages are made of: `Buffer` in Node, `Uint8Array` elsewhere. */
export interface Memory<M extends Uint8Array> {
  /** A view of `length` bytes of `buffer`. */
  readonly View: new (
    buffer: ArrayBufferLike,
    byteOffset: number,
    length: number,
  ) => M;
  /** New memory of `length` bytes that nothing else uses; it need not be zeroed. */
  allocate(length: number): M;
  /** The most bytes that `allocate` can give. */
  readonly maxLength: number;
}

const kindOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!;

/** One from another realm, such as a frame's or that of a test runner, is no instance of this one's `Uint8Array`. */
export function isBytes(value: unknown): value is Uint8Array {
  return kindOf.call(value) === 'Uint8Array';
}

/** `Buffer` and `Uint8Array` alike joined as a `Uint8Array`. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
