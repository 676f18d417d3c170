import { type Memory, uint8Arrays } from '../../lib/wire/memory.js';

/** Memory that is no Buffer, and the lengths of all that it gave. */
export function countingMemory(): { memory: Memory<Uint8Array>; given: number[] } {
  const given: number[] = [];
  const memory: Memory<Uint8Array> = {
    View: Uint8Array as unknown as Memory<Uint8Array>['View'],
    allocate(length) {
      given.push(length);
      return new Uint8Array(length);
    },
    allocateShared: (length) => new Uint8Array(length),
    encode: uint8Arrays.encode,
    maxLength: 2 ** 32,
  };
  return { memory, given };
}
