import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, type MessagePart } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { intBE, uintBE } from './bytes.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const cassandra = fromNpm('cassandra-driver');

const HEAD_LENGTH = 9;
/** Requests and answers: native_protocol_v4.spec, section 2.4. */
const STARTUP = 1;
const READY = 2;
const OPTIONS = 5;
const SUPPORTED = 6;
const QUERY = 7;
const RESULT = 8;
const REGISTER = 11;

/** The last one is above the default limit. */
const SIZES = [0, 1, 255, 65_536, 5_000_000, 0, 20_000_000, 1];

const short = (value: number) => uintBE(value, 2);
const int = (value: number) => intBE(value, 4);
const string = (text: string) => Buffer.concat([short(text.length), Buffer.from(text)]);
const list = (texts: string[]) => Buffer.concat([short(texts.length), ...texts.map(string)]);

// Types of columns, section 4.2.5.2.
const BLOB = short(3);
const VARCHAR = short(0xd);
const INET = short(0x10);
const VARCHARS = Buffer.concat([short(0x22), VARCHAR]);

type Column = readonly [name: string, type: Buffer, value: Buffer];

/** A result of one row, or of none. */
function rowsOf(columns: readonly Column[], rows = 1): MessagePart[] {
  const specification = columns.map(([name, type]) => Buffer.concat([string(name), type]));
  const values = rows === 0 ? [] : columns.flatMap(([, , value]) => [int(value.length), value]);
  return [
    int(2),
    int(1),
    int(columns.length),
    string('stub'),
    string('things'),
    ...specification,
    int(rows),
    ...values,
  ];
}

const tokens = Buffer.concat([int(1), int(1), Buffer.from('0')]);
const local: Column[] = [
  ['data_center', VARCHAR, Buffer.from('here')],
  ['rack', VARCHAR, Buffer.from('one')],
  ['release_version', VARCHAR, Buffer.from('3.11.0')],
  ['partitioner', VARCHAR, Buffer.from('org.apache.cassandra.dht.Murmur3Partitioner')],
  ['rpc_address', INET, Buffer.of(127, 0, 0, 1)],
  ['tokens', VARCHARS, tokens],
];

/** Answers each query with its first value. Returns the kinds of all requests. */
async function serve(stream: Duplex): Promise<number[]> {
  const messages = framed(stream, formats.cassandra);
  const answer = (id: Buffer, opcode: number, ...body: MessagePart[]) => {
    // Version 4, an answer; no flags; the request's number; four zeros that the length is written over.
    messages.write([Buffer.of(0x84, 0), id, Buffer.of(opcode, 0, 0, 0, 0), ...body]);
  };
  const opcodes: number[] = [];
  for await (const message of messages) {
    expect([message[0], message.readInt32BE(5)]).to.deep.equal([4, message.length - HEAD_LENGTH]);
    const id = message.subarray(2, 4);
    const opcode = message[4]!;
    opcodes.push(opcode);
    if (opcode === OPTIONS) {
      expect(message).to.have.lengthOf(HEAD_LENGTH);
      answer(id, SUPPORTED, short(1), string('CQL_VERSION'), list(['3.0.0']));
    } else if (opcode === STARTUP || opcode === REGISTER) {
      answer(id, READY);
    } else {
      expect(opcode).to.equal(QUERY);
      const end = HEAD_LENGTH + 4 + message.readInt32BE(HEAD_LENGTH);
      const query = message.toString('latin1', HEAD_LENGTH + 4, end);
      if (query.includes('system.local')) answer(id, RESULT, ...rowsOf(local));
      else if (query.includes('system.peers')) answer(id, RESULT, ...rowsOf(local, 0));
      else {
        // Consistency, flags, how many values.
        const at = end + 2 + 1 + 2;
        const data = message.subarray(at + 4, at + 4 + message.readInt32BE(at));
        answer(id, RESULT, ...rowsOf([['data', BLOB, data]]));
      }
    }
  }
  return opcodes;
}

describe('formats.cassandra', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  for (const [way, over] of ways) {
    it(`with the client of the package cassandra-driver${way}`, async () => {
      const served: Promise<number[]>[] = [];
      const port = await host.serve((socket) => {
        const serving = serve(over(socket));
        served.push(serving);
        return serving;
      });
      const client = new cassandra.Client({
        contactPoints: [`127.0.0.1:${port}`],
        localDataCenter: 'here',
        protocolOptions: { maxVersion: 4 },
        isMetadataSyncEnabled: false,
      });
      try {
        await client.connect();
        const results = await Promise.all(
          SIZES.map((size) => client.execute('SELECT ? AS data', [messageOf(size)], { hints: ['blob'] })),
        );
        for (const [i, { rows }] of results.entries()) {
          expect(rows).to.have.lengthOf(1);
          expectSame(rows[0].data, messageOf(SIZES[i]!));
        }
      } finally {
        await client.shutdown();
      }
      const opcodes = (await Promise.all(served)).flat();
      expect(opcodes).to.include.members([OPTIONS, STARTUP, REGISTER]);
      expect(opcodes.filter((opcode) => opcode === QUERY)).to.have.lengthOf.above(SIZES.length);
    });
  }
});
