/**
 * Messages longer than one frame can hold, as in MySQL and TDS: they go on in the next packets.
 *
 *     const packets = framed(socket, formats.mysql);
 *     for await (const message of packets.pipe(joined(mysql))) console.log(message.length);
 *     for (const packet of packetsOf(query, mysql)) packets.write(packet);
 */
import { Transform } from 'node:stream';

/** How a protocol continues a message. A packet is what the decoder hands out: a head of so many bytes, then a payload. */
export interface Continuation {
  readonly headLength: number;
  /** The longest payload of one packet. */
  readonly maxPayload: number;
  /** Whether the message goes on in the next packet. */
  goesOn(packet: Buffer): boolean;
  /** The head of the packet with this number, from 0. */
  head(number: number, isLast: boolean): Uint8Array;
}

/** A full packet goes on in the next one, which may be empty. The head is a sequence number. */
export const mysql: Continuation = {
  headLength: 1,
  maxPayload: 0xff_ffff,
  goesOn: (packet) => packet.length === 1 + 0xff_ffff,
  head: (number) => Uint8Array.of(number),
};

/** Joins the payloads of packets into messages of at most `maxLength` bytes. */
export function joined({ headLength, goesOn }: Continuation, maxLength = 64 * 1024 * 1024): Transform {
  let parts: Buffer[] = [];
  let length = 0;
  return new Transform({
    objectMode: true,
    transform(packet: Buffer, _encoding, callback) {
      const payload = packet.subarray(headLength);
      parts.push(payload);
      length += Math.max(payload.length, 100); // An empty one takes memory, too.
      if (length > maxLength) return callback(new Error(`A message takes more than ${maxLength} bytes`));
      if (goesOn(packet)) return callback();
      const message = Buffer.concat(parts);
      parts = [];
      length = 0;
      callback(null, message);
    },
    flush: (callback) => callback(parts.length > 0 ? new Error('The input ended inside a message') : null),
  });
}

/** The packets of a message. */
export function* packetsOf(message: Buffer, { maxPayload, goesOn, head }: Continuation): Generator<Buffer> {
  for (let at = 0, number = 0; ; at += maxPayload, number++) {
    const payload = message.subarray(at, at + maxPayload);
    const packet = Buffer.concat([head(number, at + maxPayload >= message.length), payload]);
    yield packet;
    if (!goesOn(packet)) return;
  }
}
