import { AssertionError } from 'chai';

type Bytes = Uint8Array | string;

/** Expects the same bytes, many as they may be, and shows no more than where they differ. */
export function expectSame(actual: Bytes | undefined, expected: Bytes): void {
  const [a, b] = [Buffer.from((actual ?? '') as string), Buffer.from(expected as string)];
  if (actual !== undefined && a.equals(b)) return;
  let at = 0;
  while (at < Math.min(a.length, b.length) && a[at] === b[at]) at++;
  const excerpt = (bytes: Buffer) => JSON.stringify(bytes.toString('latin1', at, at + 60));
  const lengths = `${actual === undefined ? 'nothing' : `${a.length} bytes`} in the place of ${b.length}`;
  throw new AssertionError(`${lengths}; from byte ${at} on ${excerpt(a)} in the place of ${excerpt(b)}`);
}
