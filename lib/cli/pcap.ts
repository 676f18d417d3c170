/** Writes what was seen as a capture that Wireshark opens: the bytes of each connection, in TCP packets made up for them. */
import type { Socket } from 'node:net';
import { isIPv4 } from 'node:net';
import { complain, describe } from './errors.js';
import { Output } from './output.js';

/** LINKTYPE_RAW: packets begin with the IP header. https://www.tcpdump.org/linktypes.html */
const RAW_IP = 101;
const [FIN, SYN, PSH, ACK] = [0x01, 0x02, 0x08, 0x10];
/** The most bytes in one packet: with its headers it has at most 65,535. */
const SEGMENT = 32_768;

type Direction = '->' | '<-';

interface End {
  readonly address: Buffer;
  readonly port: number;
  sequence: number;
}

/** IPv6 addresses of a capture are shown as those of IPv4 in the private range, which tell them apart as well. */
function addressOf(text: string | undefined, other: number): Buffer {
  const plain = text?.replace(/^::ffff:/, '');
  return plain !== undefined && isIPv4(plain) ? Buffer.from(plain.split('.').map(Number)) : Buffer.of(10, 0, 0, other);
}

export interface PcapStream {
  data(direction: Direction, chunk: Buffer): void;
}

export class Pcap {
  readonly #output: Output;

  static async open(file: string): Promise<Pcap> {
    return new Pcap(await Output.open(file, (error) => complain(`Going on without --pcap: ${describe(error)}`)));
  }

  constructor(output: Output) {
    this.#output = output;
    const head = Buffer.alloc(24);
    head.writeUInt32LE(0xa1b2c3d4, 0);
    head.writeUInt16LE(2, 4);
    head.writeUInt16LE(4, 6);
    head.writeUInt32LE(65_535, 16);
    head.writeUInt32LE(RAW_IP, 20);
    output.writeBytes(head);
  }

  /** Begins a connection. */
  connection(client: Socket, number: number): PcapStream {
    const near: End = {
      address: addressOf(client.remoteAddress, 1),
      port: client.remotePort ?? 1024 + (number % 60_000),
      sequence: 0,
    };
    const far: End = { address: addressOf(client.localAddress, 2), port: client.localPort ?? 1, sequence: 0 };
    const none = Buffer.alloc(0);
    this.#packet(near, far, SYN, none);
    this.#packet(far, near, SYN | ACK, none);
    this.#packet(near, far, ACK, none);
    client.once('close', () => {
      this.#packet(near, far, FIN | ACK, none);
      this.#packet(far, near, FIN | ACK, none);
    });
    return {
      data: (direction, chunk) => {
        const [from, to] = direction === '->' ? [near, far] : [far, near];
        for (let at = 0; at < chunk.length; at += SEGMENT)
          this.#packet(from, to, PSH | ACK, chunk.subarray(at, at + SEGMENT));
      },
    };
  }

  #packet(from: End, to: End, flags: number, data: Buffer): void {
    const length = 40 + data.length;
    const head = Buffer.alloc(16 + 40);
    const now = Date.now();
    head.writeUInt32LE(Math.floor(now / 1000), 0);
    head.writeUInt32LE((now % 1000) * 1000, 4);
    head.writeUInt32LE(length, 8);
    head.writeUInt32LE(length, 12);
    const ip = head.subarray(16, 36);
    ip[0] = 0x45;
    ip.writeUInt16BE(length, 2);
    ip[8] = 64;
    ip[9] = 6; // TCP
    from.address.copy(ip, 12);
    to.address.copy(ip, 16);
    ip.writeUInt16BE(checksum(ip), 10);
    const tcp = head.subarray(36);
    tcp.writeUInt16BE(from.port, 0);
    tcp.writeUInt16BE(to.port, 2);
    tcp.writeUInt32BE(from.sequence, 4);
    tcp.writeUInt32BE(flags & ACK ? to.sequence : 0, 8);
    tcp[12] = 0x50;
    tcp[13] = flags;
    tcp.writeUInt16BE(65_535, 14);
    from.sequence = (from.sequence + data.length + (flags & (SYN | FIN) ? 1 : 0)) >>> 0;
    this.#output.writeBytes(Buffer.concat([head, data]));
  }
}

/** RFC 1071. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  return ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
}
