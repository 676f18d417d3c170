import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { formats, framed, type MessagePart } from '../../../lib/index.js';
import { ways } from '../../support/recut.js';
import { fromNpm } from './npm.js';
import { messageOf } from './programs.js';
import { expectSame } from './same.js';
import { Host } from './servers.js';

const { BSON, MongoClient } = fromNpm('mongodb');
// An answer is one document with all that were found.
BSON.setInternalBufferSize(48_000_000);

const HEAD_LENGTH = 16;
const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;

/** With what is in front of it, a document of nearly 16 MiB: the server takes no longer ones. */
const LARGEST = 16 * 2 ** 20 - 100;
const SIZES = [0, 1, 1000, 5_000_000];

type Document = Record<string, any>;

/** What messages begin with. The encoder writes the length, the first number. */
function headOf(responseTo: number, opCode: number): Buffer {
  const head = Buffer.alloc(HEAD_LENGTH);
  head.writeInt32LE(responseTo, 8);
  head.writeInt32LE(opCode, 12);
  return head;
}

/** The documents that lie one behind the other. */
function documentsIn(bytes: Buffer): Document[] {
  const documents: Document[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
    documents.push(BSON.deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)), { promoteBuffers: true }));
  }
  return documents;
}

/** The command of an OP_MSG: a document, and more sections with lists of them. */
function commandOf(message: Buffer): Document {
  const command: Document = {};
  for (let at = HEAD_LENGTH + 4; at < message.length; ) {
    const kind = message[at]!;
    const end = at + 1 + message.readInt32LE(at + 1);
    const bytes = message.subarray(at + 1, end);
    if (kind === 0) Object.assign(command, documentsIn(bytes)[0]);
    else command[`${bytes.subarray(4, bytes.indexOf(0, 4))}`] = documentsIn(bytes.subarray(bytes.indexOf(0, 4) + 1));
    at = end;
  }
  return command;
}

const hello = {
  isWritablePrimary: true,
  helloOk: true,
  maxBsonObjectSize: 16 * 2 ** 20,
  maxMessageSizeBytes: 48_000_000,
  maxWriteBatchSize: 100_000,
  minWireVersion: 0,
  maxWireVersion: 25,
};

/** A server of one collection. */
class Store {
  readonly documents: Document[] = [];
  /** The lengths of all messages. */
  readonly lengths: number[] = [];

  async serve(stream: Duplex): Promise<void> {
    const messages = framed(stream, formats.mongodb);
    for await (const message of messages) {
      expect(message.readInt32LE(0)).to.equal(message.length);
      this.lengths.push(message.length);
      messages.write(this.#answer(message, message.readInt32LE(4)));
    }
  }

  #answer(message: Buffer, id: number): MessagePart[] {
    const opCode = message.readInt32LE(12);
    if (opCode === OP_QUERY) {
      // The first message of a connection: flags, a name, two numbers, a document.
      const [query] = documentsIn(message.subarray(message.indexOf(0, HEAD_LENGTH + 4) + 1 + 8));
      expect(query).to.have.property('helloOk');
      // Flags, a cursor, the first one's number, how many.
      const numbers = Buffer.alloc(20);
      numbers.writeInt32LE(1, 16);
      return [headOf(id, OP_REPLY), numbers, BSON.serialize({ ...hello, ok: 1 })];
    }
    expect(opCode).to.equal(OP_MSG);
    // No flags; a section of kind 0.
    return [headOf(id, OP_MSG), Buffer.alloc(5), BSON.serialize({ ...this.#run(commandOf(message)), ok: 1 })];
  }

  #run(command: Document): Document {
    const [name] = Object.keys(command);
    if (name === 'hello') return hello;
    if (name === 'insert') return { n: this.documents.push(...command.documents) && command.documents.length };
    if (name === 'bulkWrite') {
      this.documents.push(...command.ops.map((op: Document) => op.document));
      const counts = {
        nErrors: 0,
        nInserted: command.ops.length,
        nUpserted: 0,
        nMatched: 0,
        nModified: 0,
        nDeleted: 0,
      };
      return { ...counts, cursor: { id: 0n, firstBatch: [], ns: 'admin.$cmd.bulkWrite' } };
    }
    if (name === 'find') return { cursor: { id: 0n, firstBatch: this.documents, ns: 'test.things' } };
    expect(name).to.equal('ping');
    return {};
  }
}

function expectDocuments(actual: Document[], expected: Document[]): void {
  expect(actual).to.have.lengthOf(expected.length);
  for (const [i, each] of expected.entries()) expectSame(BSON.serialize(actual[i]), BSON.serialize(each));
}

// There is no server to be a client of: Debian has none, and those of npm fetch one.
describe('formats.mongodb', () => {
  let host: Host;
  before(() => {
    host = new Host();
  });
  after(() => host.close());

  for (const [way, over] of ways) {
    describe(`with the client of the package mongodb${way}`, () => {
      let store: Store;
      let client: any;
      beforeEach(async () => {
        store = new Store();
        const port = await host.serve((socket) => store.serve(over(socket)));
        const options = { directConnection: true, promoteBuffers: true, serverSelectionTimeoutMS: 5000 };
        client = new MongoClient(`mongodb://127.0.0.1:${port}/test`, options);
      });
      afterEach(() => client.close());

      it('ping, and documents of all lengths, there and back', async () => {
        expect(await client.db().command({ ping: 1 })).to.deep.equal({ ok: 1 });
        const things = client.db().collection('things');
        const documents = SIZES.map((size) => ({ _id: size, data: messageOf(size) }));
        for (const each of documents) await things.insertOne(each);
        await things.insertMany([{ _id: 'a' }, { _id: 'b' }]);
        documents.push(...([{ _id: 'a' }, { _id: 'b' }] as any[]));
        expectDocuments(store.documents, documents);
        expectDocuments(await things.find().toArray(), documents);
      });

      it('messages as long as they may be', async () => {
        // The client puts as many in a message as the server says that it takes.
        const documents = [1, 2, 3, 4].map((_id) => ({ _id, data: messageOf(_id === 3 ? 14_400_000 : LARGEST) }));
        const models = documents.map((document) => ({ name: 'insertOne', namespace: 'test.things', document }));
        expect(await client.bulkWrite(models)).to.include({ insertedCount: 4 });
        expectDocuments(store.documents, documents);
        expect(Math.max(...store.lengths)).to.be.within(47_900_000, 48_000_000);
        store.documents.pop();
        expectDocuments(await client.db().collection('things').find().toArray(), documents.slice(0, 3));
      });
    });
  }
});
