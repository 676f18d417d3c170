/** Integers in so many bytes, 8 at the most: an unsigned one above 6 bytes has zeros for the others. */

export function uintBE(value: number, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeUIntBE(value, Math.max(0, width - 6), Math.min(width, 6));
  return bytes;
}

export function uintLE(value: number, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeUIntLE(value, 0, Math.min(width, 6));
  return bytes;
}

export function intBE(value: number, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeIntBE(value, 0, width);
  return bytes;
}
