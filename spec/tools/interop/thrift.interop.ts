import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, LengthPrefixDecoder } from '../../../lib/index.js';
import { rejectionCode } from '../../support/connections.js';
import { ways } from '../../support/recut.js';
import { uintBE } from './bytes.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const thrift = fromNpm('thrift');
const { CALL, REPLY } = thrift.Thrift.MessageType;
const { STRING } = thrift.Thrift.Type;

const framedBinary = { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol };

/** What is in a frame beside the data. */
const AROUND = 24;
const LIMIT = 16_384_000;
const SIZES = [0, 1, 255, 65_536, 0, 5_000_000, LIMIT - AROUND, 1];

/** A call, or the answer to it, in the binary protocol: version and type, `echo`, a number; one field, and no more. */
function echo(type: number, sequence: number, data: Buffer): Buffer[] {
  const begin = Buffer.from(
    `80010000 00000004 ${Buffer.from('echo').toString('hex')} 00000000`.replaceAll(' ', ''),
    'hex',
  );
  begin[3] = type;
  begin.writeInt32BE(sequence, 12);
  const field = Buffer.alloc(7);
  field[0] = STRING;
  field.writeInt16BE(type === CALL ? 1 : 0, 1);
  field.writeInt32BE(data.length, 3);
  return [begin, field, data, Buffer.of(0)];
}

/** Expects a call of `echo`, or the answer to it. */
function dataOf(message: Buffer, type: number): { sequence: number; data: Buffer } {
  const sequence = message.readInt32BE(12);
  const data = message.subarray(AROUND - 1, -1);
  expectSame(message, Buffer.concat(echo(type, sequence, data)));
  return { sequence, data };
}

// The two are as the compiler of Thrift makes them of `service Echo { binary echo(1: binary data) }`.

function write(output: any, type: number, sequence: number, data: Buffer): void {
  output.writeMessageBegin('echo', type, sequence);
  output.writeStructBegin('Echo');
  output.writeFieldBegin('data', STRING, type === CALL ? 1 : 0);
  output.writeBinary(data);
  output.writeFieldEnd();
  output.writeFieldStop();
  output.writeStructEnd();
  output.writeMessageEnd();
  output.flush();
}

function read(input: any): Buffer {
  input.readStructBegin();
  input.readFieldBegin();
  const data = input.readBinary();
  input.readFieldEnd();
  input.readFieldBegin();
  input.readStructEnd();
  input.readMessageEnd();
  return data;
}

class Processor {
  process(input: any, output: any): void {
    const { rseqid } = input.readMessageBegin();
    write(output, REPLY, rseqid, read(input));
  }
}

class Client {
  readonly _reqs: Record<number, (error: unknown, data: Buffer) => void> = {};
  readonly #output: any;
  readonly #Protocol: any;
  #sequence = 0;

  constructor(output: any, Protocol: any) {
    this.#output = output;
    this.#Protocol = Protocol;
  }

  async echo(data: Buffer): Promise<Buffer> {
    const sequence = ++this.#sequence;
    const answer = new Promise<Buffer>((resolve) => {
      this._reqs[sequence] = (_error, data) => resolve(data);
    });
    write(new this.#Protocol(this.#output), CALL, sequence, data);
    return await answer;
  }

  recv_echo(input: any, type: number, sequence: number): void {
    expect(type).to.equal(REPLY);
    this._reqs[sequence]!(null, read(input));
  }
}

describe('formats.thrift', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  for (const [way, over] of ways) {
    it(`with the server of the package thrift${way}`, async () => {
      const server = thrift.createServer(Processor, {}, framedBinary);
      const port = await host.serve((socket) => server.emit('connection', socket));
      const messages = framed(over(connect(port, '127.0.0.1')), formats.thrift);
      // It passes over frames without a whole call.
      for (const part of ['', 'x']) messages.write(part);
      for (const [sequence, size] of SIZES.entries()) messages.write(echo(CALL, sequence, messageOf(size)));
      messages.end();
      const answers: Buffer[] = await messages.toArray();
      expect(answers).to.have.lengthOf(SIZES.length);
      for (const [i, answer] of answers.entries()) {
        const { sequence, data } = dataOf(answer, REPLY);
        expect(sequence).to.equal(i);
        expectSame(data, messageOf(SIZES[i]!));
      }
    });

    it(`with the client of the package thrift${way}`, async () => {
      const serve = async (stream: Duplex) => {
        const messages = framed(stream, formats.thrift);
        for await (const message of messages) {
          const { sequence, data } = dataOf(message, CALL);
          messages.write(echo(REPLY, sequence, data));
        }
      };
      const port = await host.serve((socket) => serve(over(socket)));
      const connection = thrift.createConnection('127.0.0.1', port, framedBinary);
      const client = thrift.createClient(Client, connection);
      const answers: Buffer[] = await Promise.all(SIZES.map((size) => client.echo(messageOf(size))));
      for (const [i, answer] of answers.entries()) expectSame(answer, messageOf(SIZES[i]!));
      connection.end();
    });
  }

  it('with the server of the package thrift, which has the same limit', async () => {
    const server = thrift.createServer(Processor, {}, framedBinary);
    const refused = once(server, 'error');
    const port = await host.serve((socket) => server.emit('connection', socket));
    const head = uintBE(LIMIT + 1, 4);
    connect(port, '127.0.0.1').end(head).resume();
    expect((await refused).join()).to.include(`Frame size ${LIMIT + 1} larger than the maximum allowed ${LIMIT} bytes`);
    const decoder = new LengthPrefixDecoder(formats.thrift);
    decoder.end(head);
    expect(await rejectionCode(decoder.toArray())).to.equal('ERR_FRAME_TOO_LONG');
  });
});
