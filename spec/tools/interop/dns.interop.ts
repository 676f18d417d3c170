import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintBE as uint } from './bytes.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const [SOA, TXT, AXFR] = [6, 16, 252];
/** A message can't be longer. */
const LONGEST = 65_535;
/** What is around the data of the first answer: the header, `t0.test` and its type, the answer's own head. */
const AROUND = 12 + 13 + 12;
/** The lengths of the data of t0.test, t1.test and so on, in bytes: each string's own length byte counts. */
const LENGTHS = [1, 2, 256, 258, 60_000, LONGEST - AROUND - 1, LONGEST - AROUND];
/** Of a zone of several megabytes. NSD hands zones over in messages of up to 16 KiB. */
const ZONE = Array.from({ length: 400 }, () => 10_000);

/** TXT data of so many bytes: strings of 255 bytes at the most. */
function stringsOf(length: number): string[] {
  const strings: string[] = [];
  for (let left = length; left > 0; left -= 256) strings.push('x'.repeat(Math.min(255, left - 1)));
  return strings;
}

/** As zone files have it, and dig prints it. */
const printed = (length: number) =>
  stringsOf(length)
    .map((string) => `"${string}"`)
    .join(' ');

const dataOf = (length: number) =>
  Buffer.concat(stringsOf(length).flatMap((string) => [Buffer.of(string.length), Buffer.from(string)]));

const wireName = (name: string) =>
  Buffer.concat([...name.split('.'), ''].flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]));

const questionOf = (name: string, type: number) => Buffer.concat([wireName(name), uint(type, 2), uint(1, 2)]);

function queryOf(id: number, name: string, type: number): Buffer[] {
  return [uint(id, 2), Buffer.from('01000001000000000000', 'hex'), questionOf(name, type)];
}

/** An answer with one record, which has the question's name. */
function answerOf(id: number, question: Buffer, type: number, data: Buffer): Buffer[] {
  const head = [uint(0xc00c, 2), uint(type, 2), uint(1, 2), uint(60, 4), uint(data.length, 2)];
  return [uint(id, 2), Buffer.from('84000001000100000000', 'hex'), question, ...head, data];
}

/** Where the name that begins at `at` ends. */
function endOfName(message: Buffer, at: number): number {
  const length = message[at]!;
  if (length >= 0xc0) return at + 2;
  return length === 0 ? at + 1 : endOfName(message, at + 1 + length);
}

/** What a message answers: its id, and the type and the data of each record. */
function parse(message: Buffer): { id: number; records: { type: number; data: Buffer }[] } {
  // A response without an error.
  expect(message.readUInt16BE(2) & 0x800f).to.equal(0x8000);
  let at = 12;
  for (let questions = message.readUInt16BE(4); questions > 0; questions--) at = endOfName(message, at) + 4;
  const records: { type: number; data: Buffer }[] = [];
  for (let answers = message.readUInt16BE(6); answers > 0; answers--) {
    at = endOfName(message, at);
    const data = message.subarray(at + 10, at + 10 + message.readUInt16BE(at + 8));
    records.push({ type: message.readUInt16BE(at), data });
    at += 10 + data.length;
  }
  return { id: message.readUInt16BE(0), records };
}

describe('formats.dns', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  describe('with NSD', () => {
    let port: number;
    before(async () => {
      const start = '$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n';
      const zone = (name: string, lengths: number[]) => {
        const records = lengths.map((length, index) => `t${index} TXT ${printed(length)}\n`).join('');
        return `zone:\n  name: ${name}\n  provide-xfr: 127.0.0.1 NOKEY\n  zonefile: ${host.file(name, start + records)}\n`;
      };
      const settings = `
        username: ""
        server-count: 1
        database: ""
        pidfile: ""
        zonelistfile: ${host.folder}/zones
        xfrdfile: ${host.folder}/state
        xfrdir: ${host.folder}
        zonesdir: ${host.folder}\n${zone('test', LENGTHS)}${zone('large', ZONE)}`;
      const control = 'remote-control:\n  control-enable: no\n';
      const args = (port: number) => {
        const text = `${control}server:\n  ip-address: 127.0.0.1@${port}${settings}`;
        return ['-d', '-c', host.file(`nsd-${port}.conf`, text)];
      };
      port = await host.startOnPort('nsd', args, /nsd started/);
    });

    for (const [way, over] of ways) {
      it(`queries and answers of all lengths on one connection${way}`, async () => {
        const messages = framed(over(connect(port, '127.0.0.1')), formats.dns);
        for (const index of LENGTHS.keys()) messages.write(queryOf(index, `t${index}.test`, TXT));
        const longest: number[] = [];
        for await (const message of messages.iterator({ destroyOnReturn: false })) {
          const { id, records } = parse(message);
          expect(records.map(({ type }) => type)).to.deep.equal([TXT]);
          expectSame(records[0]!.data, dataOf(LENGTHS[id]!));
          longest.push(message.length);
          if (longest.length === LENGTHS.length) break;
        }
        expect(Math.max(...longest)).to.equal(LONGEST);

        messages.write(queryOf(1, 'large', AXFR));
        const texts: Buffer[] = [];
        let ends = 0;
        for await (const message of messages) {
          for (const { type, data } of parse(message).records) {
            if (type === SOA) ends++;
            if (type === TXT) texts.push(data);
          }
          if (ends === 2) break;
        }
        expectSame(Buffer.concat(texts), Buffer.concat(ZONE.map(dataOf)));
      });
    }
  });

  describe('with dig', () => {
    async function serve(stream: Duplex): Promise<void> {
      const messages = framed(stream, formats.dns);
      for await (const message of messages) {
        const id = message.readUInt16BE(0);
        const end = endOfName(message, 12);
        const type = message.readUInt16BE(end);
        const question = message.subarray(12, end + 4);
        if (type === TXT) {
          messages.write(answerOf(id, question, TXT, dataOf(LENGTHS[Number(message.toString('latin1', 14, 15))]!)));
          continue;
        }
        expect(type).to.equal(AXFR);
        const soa = Buffer.concat([
          wireName('ns'),
          wireName('bob'),
          ...[1, 60, 60, 60, 60].map((each) => uint(each, 4)),
        ]);
        messages.write(answerOf(id, question, SOA, soa));
        for (const length of ZONE) messages.write(answerOf(id, question, TXT, dataOf(length)));
        messages.write(answerOf(id, question, SOA, soa));
      }
    }

    for (const [way, over] of ways) {
      it(`queries and answers of all lengths on one connection${way}`, async () => {
        let connections = 0;
        const port = await host.serve((socket) => {
          connections++;
          return serve(over(socket));
        });
        const options = ['@127.0.0.1', '-p', String(port), '+tcp', '+short', '+noedns', '+keepopen'];
        const queries = LENGTHS.flatMap((_, index) => ['-q', `t${index}.test`, '-t', 'TXT', ...options]);
        expectSame(await host.run('dig', queries), LENGTHS.map((length) => `${printed(length)}\n`).join(''));
        expect(connections).to.equal(1);
      });

      it(`a zone of several megabytes${way}`, async () => {
        const port = await host.serve((socket) => serve(over(socket)));
        const options = ['@127.0.0.1', '-p', String(port), '+noall', '+answer', '-t', 'AXFR', '-q', 'large'];
        const output = await host.run('dig', options);
        const texts = output.match(/(?<=TXT\t).*/g) ?? [];
        expectSame(texts.join('\n'), ZONE.map(printed).join('\n'));
      });
    }
  });
});
