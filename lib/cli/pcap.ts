/** Writes what was seen as a capture that Wireshark opens: the bytes of each connection, in TCP packets made up for them. */
import type { Socket } from 'node:net';
import { bytesOfAddress } from './address.js';
import { complain, describe } from './errors.js';
import { Output } from './output.js';

/** LINKTYPE_RAW: packets begin with the IP header. https://www.tcpdump.org/linktypes.html */
const RAW_IP = 101;
const [FIN, SYN, PSH, ACK] = [0x01, 0x02, 0x08, 0x10];
const TCP = 6;
const TCP_HEAD = 20;
/** The most bytes in one packet: with its headers it has at most 65,535. */
const SEGMENT = 32_768;

type Direction = '->' | '<-';

interface End {
  readonly address: Buffer;
  readonly port: number;
  sequence: number;
}

/** A Unix socket has no addresses: its ends are shown as two of the private range. */
function addressesOf({ remoteAddress, localAddress }: Socket): [near: Buffer, far: Buffer] {
  const [near, far] = [bytesOfAddress(remoteAddress), bytesOfAddress(localAddress)];
  return near !== undefined && near.length === far?.length
    ? [near, far]
    : [Buffer.of(10, 0, 0, 1), Buffer.of(10, 0, 0, 2)];
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
    const [address, farAddress] = addressesOf(client);
    const near: End = { address, port: client.remotePort ?? 1024 + (number % 60_000), sequence: 0 };
    const far: End = { address: farAddress, port: client.localPort ?? 1, sequence: 0 };
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
    const ip = ipHead(from.address, to.address, TCP_HEAD + data.length);
    const length = ip.length + TCP_HEAD + data.length;
    const record = Buffer.alloc(16);
    const now = Date.now();
    record.writeUInt32LE(Math.floor(now / 1000), 0);
    record.writeUInt32LE((now % 1000) * 1000, 4);
    record.writeUInt32LE(length, 8);
    record.writeUInt32LE(length, 12);
    const tcp = Buffer.alloc(TCP_HEAD);
    tcp.writeUInt16BE(from.port, 0);
    tcp.writeUInt16BE(to.port, 2);
    tcp.writeUInt32BE(from.sequence, 4);
    tcp.writeUInt32BE(flags & ACK ? to.sequence : 0, 8);
    tcp[12] = 0x50;
    tcp[13] = flags;
    tcp.writeUInt16BE(65_535, 14);
    from.sequence = (from.sequence + data.length + (flags & (SYN | FIN) ? 1 : 0)) >>> 0;
    this.#output.writeBytes(Buffer.concat([record, ip, tcp, data]));
  }
}

/** The header of IPv4 or of IPv6, after the addresses, in front of so many bytes of TCP. */
function ipHead(from: Buffer, to: Buffer, length: number): Buffer {
  if (from.length === 16) {
    const head = Buffer.alloc(8);
    head[0] = 0x60;
    head.writeUInt16BE(length, 4);
    head[6] = TCP;
    head[7] = 64;
    return Buffer.concat([head, from, to]);
  }
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(20 + length, 2);
  head[8] = 64;
  head[9] = TCP;
  from.copy(head, 12);
  to.copy(head, 16);
  head.writeUInt16BE(checksum(head), 10);
  return head;
}

/** RFC 1071. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  return ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
}
