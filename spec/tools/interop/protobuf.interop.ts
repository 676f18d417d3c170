import { buffer } from 'node:stream/consumers';
import { expect } from 'chai';
import protobuf from 'protobufjs';
import { formats, framed, type MessagePart } from '../../../lib/index.js';
import { cleanUp, connectTo, listen } from '../../support/programs.js';
import { expectClient, expectServer, messageOf, PYTHON, sourceOf } from './programs.js';

/** As in google/protobuf/wrappers.proto. */
const { root } = protobuf.parse('syntax = "proto3"; message BytesValue { bytes value = 1; }');
const BytesValue = root.lookupType('BytesValue');

/** A message of no bytes has a value of none. */
const withValue = (value: MessagePart) => BytesValue.create(value.length > 0 ? { value: Buffer.from(value) } : {});

const contentOf = (message: unknown) => Buffer.from((message as { value: Uint8Array }).value);

describe('Protocol Buffers, delimited', () => {
  afterEach(cleanUp);

  // Of the value: the message has a byte of type and a varint of length in front of it, unless it is empty.
  const sizes = [5, 0, 1, 125, 126, 0, 16_380, 16_381, 5_000_000];

  describe('protobufjs', () => {
    it('encodeDelimited: we get its messages', async () => {
      const port = await listen((socket) => {
        for (const size of sizes) socket.write(BytesValue.encodeDelimited(withValue(messageOf(size))).finish());
        socket.end();
      });
      const messages = framed(await connectTo(port), formats.protobuf);
      messages.end();
      const values = (await messages.toArray()).map((message) => contentOf(BytesValue.decode(message)));
      expect(values.map(({ length }) => length)).to.deep.equal(sizes);
      for (const value of values) expect(value.equals(messageOf(value.length))).to.equal(true);
    });

    it('decodeDelimited: it gets ours', async () => {
      const port = await listen((socket) => {
        const messages = framed(socket, formats.protobuf);
        for (const size of sizes) messages.write(BytesValue.encode(withValue(messageOf(size))).finish());
        messages.end();
      });
      const socket = await connectTo(port);
      socket.end();
      const reader = protobuf.Reader.create(await buffer(socket));
      for (const size of sizes) {
        expect(contentOf(BytesValue.decodeDelimited(reader)).equals(messageOf(size))).to.equal(true);
      }
      expect(reader.pos).to.equal(reader.len);
    });
  });

  describe("Google's library for Python", () => {
    const format = {
      ...formats.protobuf,
      decode: (bytes: Buffer, start: number, end: number) => contentOf(BytesValue.decode(bytes.subarray(start, end))),
      encode: (value: MessagePart) => BytesValue.encode(withValue(value)).finish(),
    };
    const peer = { command: PYTHON, args: ['-B', sourceOf('delimited.py')], format };

    it('its server understands us, and we its answers', async () => {
      await expectServer(peer, sizes);
    });

    it('its client', async () => {
      await expectClient(peer, sizes);
    });
  });
});
