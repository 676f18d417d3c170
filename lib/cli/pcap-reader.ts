/** Reads the TCP connections of a capture: the pcap files of tcpdump, Wireshark, and of `tap --pcap`. */
import { shownHost, textOfAddress } from './address.js';

/** A piece of one direction of a connection. */
interface Segment {
  /** Address and port of its sender, and of who it is for. */
  readonly from: string;
  readonly to: string;
  readonly sequence: number;
  readonly isFirst: boolean;
  readonly data: Buffer;
  /** When it was seen, in ms. */
  readonly time: number;
}

/** Where the IP header of a packet begins, by the link type of the capture: https://www.tcpdump.org/linktypes.html */
const IP_AT: Readonly<Record<number, number>> = {
  0: 4,
  1: 14,
  12: 0,
  14: 0,
  101: 0,
  108: 4,
  113: 16,
  228: 0,
  229: 0,
  276: 20,
};
const TCP = 6;
const LONGEST_PACKET = 1_048_576;

/** Whether a file with these first bytes is a pcap. */
export function isPcap(bytes: Buffer): boolean {
  return bytes.length >= 4 && ['d4c3b2a1', 'a1b2c3d4', '4d3cb2a1', 'a1b23c4d'].includes(bytes.toString('hex', 0, 4));
}

/** The segments of all TCP connections. Packets of others are passed over. */
export async function* segmentsOf(source: AsyncIterable<Buffer>): AsyncGenerator<Segment> {
  let bytes: Buffer = Buffer.alloc(0);
  let head: Head | undefined;
  for await (const chunk of source) {
    bytes = Buffer.concat([bytes, chunk]);
    if (head === undefined) {
      if (bytes.length < 24) continue;
      head = headOf(bytes);
      bytes = bytes.subarray(24);
    }
    while (bytes.length >= 16) {
      const length = head.uint32(bytes, 8);
      if (length > LONGEST_PACKET)
        throw new Error(`The capture has a packet of ${length} bytes, at most ${LONGEST_PACKET} are read`);
      if (bytes.length < 16 + length) break;
      const time = head.uint32(bytes, 0) * 1000 + Math.floor(head.uint32(bytes, 4) / head.fractions);
      const segment = segmentOf(bytes.subarray(16 + head.ipAt, 16 + length), time);
      bytes = bytes.subarray(16 + length);
      if (segment !== undefined) yield segment;
    }
  }
  if (bytes.length > 0) throw new Error('The capture ends inside a packet');
}

interface Head {
  readonly ipAt: number;
  /** Of a millisecond. */
  readonly fractions: number;
  uint32(bytes: Buffer, at: number): number;
}

function headOf(bytes: Buffer): Head {
  const isLittle = bytes[0] !== 0xa1;
  const uint32 = (from: Buffer, at: number) => (isLittle ? from.readUInt32LE(at) : from.readUInt32BE(at));
  const link = uint32(bytes, 20) & 0xffff;
  const ipAt = IP_AT[link];
  if (ipAt === undefined) throw new Error(`The capture has link type ${link}, which can't be read`);
  return { ipAt, fractions: uint32(bytes, 0) === 0xa1b23c4d ? 1_000_000 : 1000, uint32 };
}

function segmentOf(ip: Buffer, time: number): Segment | undefined {
  const version = (ip[0] ?? 0) >> 4;
  if (ip.length < 40) return undefined;
  // Of IPv6, those with extension headers are passed over; of IPv4, fragments.
  const isTcp = version === 4 ? ip[9] === TCP && (ip.readUInt16BE(6) & 0x3fff) === 0 : version === 6 && ip[6] === TCP;
  if (!isTcp) return undefined;
  const headLength = version === 4 ? 4 * (ip[0]! & 15) : 40;
  // Ethernet pads short packets. A length of 0 is one that the network card fills in.
  const length = version === 4 ? ip.readUInt16BE(2) : 40 + ip.readUInt16BE(4);
  const tcp = ip.subarray(headLength, length > headLength ? length : ip.length);
  if (tcp.length < 20) return undefined;
  const [source, target] =
    version === 4 ? [ip.subarray(12, 16), ip.subarray(16, 20)] : [ip.subarray(8, 24), ip.subarray(24, 40)];
  const name = (address: Buffer, port: number) => shownHost(textOfAddress(address), port);
  return {
    from: name(source, tcp.readUInt16BE(0)),
    to: name(target, tcp.readUInt16BE(2)),
    sequence: tcp.readUInt32BE(4),
    isFirst: (tcp[13]! & 2) !== 0,
    data: tcp.subarray(4 * (tcp[12]! >> 4)),
    time,
  };
}

/** The most bytes that wait for a segment that is missing. */
const MOST_WAITING = 16_777_216;

/** Puts the segments of one direction in order, each byte once. */
export class Order {
  #next: number | undefined;
  readonly #waiting = new Map<number, Buffer>();
  #waitingBytes = 0;

  /** The bytes that are in order now. */
  *add({ sequence, isFirst, data }: Segment): Generator<Buffer> {
    if (isFirst) this.#next = (sequence + 1) >>> 0;
    this.#next ??= sequence;
    if (data.length === 0 || isFirst) return;
    this.#keep(sequence, data);
    for (let at = this.#earliest(); at !== undefined && distance(at, this.#next) <= 0; at = this.#earliest()) {
      const bytes = this.#waiting.get(at)!;
      this.#waiting.delete(at);
      this.#waitingBytes -= bytes.length;
      const isNew = bytes.subarray(-distance(at, this.#next));
      this.#next = (this.#next + isNew.length) >>> 0;
      if (isNew.length > 0) yield isNew;
    }
  }

  #keep(sequence: number, data: Buffer): void {
    const before = this.#waiting.get(sequence);
    if (before !== undefined && before.length >= data.length) return;
    this.#waiting.set(sequence, data);
    this.#waitingBytes += data.length - (before?.length ?? 0);
    if (this.#waitingBytes > MOST_WAITING)
      throw new Error(`More than ${MOST_WAITING} bytes wait for a packet that is not in the capture`);
  }

  #earliest(): number | undefined {
    let earliest: number | undefined;
    for (const at of this.#waiting.keys()) if (earliest === undefined || distance(at, earliest) < 0) earliest = at;
    return earliest;
  }

  /** Whether a packet is not in the capture. */
  get isBroken(): boolean {
    return this.#waiting.size > 0;
  }
}

/** Sequence numbers begin anew behind the greatest. */
function distance(from: number, to: number): number {
  return (from - to) | 0;
}
