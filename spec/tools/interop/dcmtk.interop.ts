import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { formats, framed } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { uintBE, uintLE } from './bytes.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';
import { through } from './through.js';

const ASSOCIATE_RQ = 1;
const ASSOCIATE_AC = 2;
const DATA = 4;
const RELEASE_RQ = 5;
const RELEASE_RP = 6;

// Elements of a command, and values of these.
const SOP_CLASS = 0x0002;
const COMMAND = 0x0100;
const MESSAGE_ID = 0x0110;
const ANSWERED_ID = 0x0120;
const PRIORITY = 0x0700;
const DATA_SET = 0x0800;
const STATUS = 0x0900;
const INSTANCE = 0x1000;
const STORE_RQ = 0x0001;
const ECHO_RQ = 0x0030;
const NONE = 0x0101;

const VERIFICATION = '1.2.840.10008.1.1';
const RAW_DATA = '1.2.840.10008.5.1.4.1.1.66';
const IMPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2';

/** The most that a PDU of data may have behind its length, for dcmtk. */
const MOST = 131_072;
const LARGE = 5_000_000;
/** Flags of a value in a PDU of data: of a command, the last of its kind. */
const [IS_COMMAND, IS_LAST] = [1, 2];

/** A message: its type, a reserved byte, zeros that the length is written over, and the rest. */
const messageOf = (type: number, ...rest: Uint8Array[]) => [Uint8Array.of(type, 0, 0, 0, 0, 0), ...rest];

const uint16 = (value: number) => uintLE(value, 2);

/** An item of an association, or of user information. */
function item(type: number, ...values: (string | Uint8Array)[]): Buffer {
  const value = Buffer.concat(values.map((each) => Buffer.from(each as string)));
  return Buffer.concat([Buffer.of(type, 0), uint16(value.length).swap16(), value]);
}

/** An element of a data set. A text gets an even length. */
function element(group: number, number: number, value: string | Uint8Array): Buffer {
  const data = typeof value === 'string' ? Buffer.from(value.length % 2 === 0 ? value : `${value}\0`) : value;
  return Buffer.concat([uint16(group), uint16(number), uintLE(data.length, 4), data]);
}

/** A command of these elements: they are in the order of their numbers, as they must be. */
const commandOf = (elements: Record<number, string | number>) =>
  Buffer.concat(
    Object.entries(elements).map(([number, value]) =>
      element(0, Number(number), typeof value === 'number' ? uint16(value) : value),
    ),
  );

/** A PDU of data: one value for a presentation context. */
const dataOf = (context: number, flags: number, data: Buffer) =>
  messageOf(DATA, uintBE(2 + data.length, 4), Buffer.of(context, flags), data);

const proposed = (context: number, sopClass: string) =>
  item(0x20, Buffer.of(context, 0, 0, 0), item(0x30, sopClass), item(0x40, IMPLICIT_LITTLE_ENDIAN));
const accepted = (context: number) => item(0x21, Buffer.of(context, 0, 0, 0), item(0x40, IMPLICIT_LITTLE_ENDIAN));

const associate = messageOf(
  ASSOCIATE_RQ,
  Buffer.of(0, 1, 0, 0),
  Buffer.from('THEIRS'.padEnd(16) + 'OURS'.padEnd(16)),
  Buffer.alloc(32),
  item(0x10, '1.2.840.10008.3.1.1.1'),
  proposed(1, VERIFICATION),
  proposed(3, RAW_DATA),
  item(0x50, item(0x51, Buffer.of(0, 1, 0, 0)), item(0x52, '1.2.3')),
);

describe('formats.dicom', () => {
  let host: Host;
  let port: number;
  before(async () => {
    host = new Host();
    // It would not say when it listens.
    port = await host.serveBy('storescp', ['--inetd', '--max-pdu', String(MOST), '--output-directory', host.folder]);
  });
  after(() => host.close());

  const stored = (uid: string) => readFileSync(join(host.folder, `RAW.${uid}`)).subarray(-LARGE);

  for (const [i, [way, over]] of ways.entries()) {
    it(`we send an echo and a data set to storescp${way}`, async () => {
      const messages = framed(over(connect(port, '127.0.0.1')), formats.dicom);
      const received = messages[Symbol.asyncIterator]();
      const receive = async (type: number) => {
        const message = (await received.next()).value as Buffer;
        expect([message[0], message.readUInt32BE(2)]).to.deep.equal([type, message.length - 6]);
        return message;
      };
      const expectSuccess = async (id: number) => {
        const answer = await receive(DATA);
        for (const each of [{ [ANSWERED_ID]: id }, { [STATUS]: 0 }])
          expect(answer.includes(commandOf(each))).to.equal(true);
      };
      messages.write(associate);
      const association = await receive(ASSOCIATE_AC);
      for (const context of [1, 3]) expect(association.includes(accepted(context))).to.equal(true);

      const echo = { [SOP_CLASS]: VERIFICATION, [COMMAND]: ECHO_RQ, [MESSAGE_ID]: 7, [DATA_SET]: NONE };
      messages.write(dataOf(1, IS_COMMAND + IS_LAST, commandOf(echo)));
      await expectSuccess(7);

      const uid = `1.2.3.${i}`;
      const content = Buffer.alloc(LARGE, 'content');
      const store = { [SOP_CLASS]: RAW_DATA, [COMMAND]: STORE_RQ, [MESSAGE_ID]: 8, [PRIORITY]: 0, [DATA_SET]: 0 };
      messages.write(dataOf(3, IS_COMMAND + IS_LAST, commandOf({ ...store, [INSTANCE]: uid })));
      const dataSet = Buffer.concat([element(8, 0x16, RAW_DATA), element(8, 0x18, uid), element(0x42, 0x11, content)]);
      for (let at = 0, length = 2; at < dataSet.length; at += length, length = MOST - 6) {
        const data = dataSet.subarray(at, at + length);
        messages.write(dataOf(3, at + data.length === dataSet.length ? IS_LAST : 0, data));
      }
      await expectSuccess(8);
      expectSame(stored(uid), content);

      messages.write(messageOf(RELEASE_RQ, Buffer.alloc(4)));
      await receive(RELEASE_RP);
      messages.end();
      expect((await received.next()).done).to.equal(true);
    });

    it(`echoscu and storescu reach storescp through us${way}`, async () => {
      const proxy = await through(host, port, { format: formats.dicom, over });
      const place = ['127.0.0.1', String(proxy.port)];
      await host.run('echoscu', place);

      const uid = `1.2.4.${i}`;
      const content = 'x'.repeat(LARGE);
      host.file('content', content);
      const text = [`(0008,0016) UI [${RAW_DATA}]`, `(0008,0018) UI [${uid}]`, '(0042,0011) OB =content'].join('\n');
      await host.run('dump2dcm', [host.file('dump', text), 'image']);
      await host.run('storescu', [...place, 'image']);
      expectSame(stored(uid), content);

      const { there, back } = await proxy.passed();
      const image = there.slice(5, -1);
      const types = (messages: Buffer[]) => messages.map((message) => message[0]);
      const data = image.map(() => DATA);
      expect(types(there)).to.deep.equal([ASSOCIATE_RQ, DATA, RELEASE_RQ, ASSOCIATE_RQ, DATA, ...data, RELEASE_RQ]);
      const answers = [ASSOCIATE_AC, DATA, RELEASE_RP];
      expect(types(back)).to.deep.equal([...answers, ...answers]);
      expect(Math.max(...image.map(({ length }) => length))).to.equal(MOST);
      expectSame(Buffer.concat(image.map((message) => message.subarray(12))).subarray(-LARGE), content);
    });
  }
});
