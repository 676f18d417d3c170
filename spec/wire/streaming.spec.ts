import { expect } from 'chai';
import { Flow } from '../../lib/wire/flow.js';
import type { FormatOptions } from '../../lib/wire/format.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { type BodyStream, type StreamedMessage, Streaming } from '../../lib/wire/streaming.js';
import { fromHex, thrownBy } from '../support/streams.js';

const bytes = (text: string) => Uint8Array.from(fromHex(text));
const hex = (part: Uint8Array) => Buffer.from(part).toString('hex');

/** A body that the test reads. */
class TestBody implements BodyStream<Uint8Array, TestBody> {
  readonly stream = this;
  readonly log: string[] = [];
  room = 0;
  isRead = true;
  onPush: (() => void) | undefined;
  readonly #streaming: Streaming<Uint8Array, TestBody>;

  constructor(streaming: Streaming<Uint8Array, TestBody>) {
    this.#streaming = streaming;
  }

  push(part: Uint8Array): boolean {
    this.log.push(hex(part));
    this.onPush?.();
    return --this.room > 0;
  }

  end(): boolean {
    this.log.push('end');
    return false;
  }

  destroy(reason: unknown): void {
    this.log.push(`destroyed: ${reason}`);
  }

  /** Wants so many parts. Returns what came since the last time. */
  want(count: number): string {
    this.room = count;
    this.#streaming.want(this);
    return this.seen();
  }

  seen(): string {
    return this.log.splice(0).join(' ');
  }

  close(): void {
    this.#streaming.close(this);
  }
}

/** A flow of messages in parts, and what came of it. */
function flowing(options: FormatOptions = { lengthField: 'uint8' }, room = Number.POSITIVE_INFINITY, isEager = true) {
  const parser = new FrameParser<Uint8Array, unknown>({ ...options, stream: true } as object);
  const messages: StreamedMessage<TestBody>[] = [];
  const log: string[] = [];
  const streaming = new Streaming<Uint8Array, TestBody>(parser, (each) => new TestBody(each));
  const reader = { room, unread: 0 };
  const flow = new Flow<object, Uint8Array, StreamedMessage<TestBody>>(
    reader,
    {
      isEager,
      push(_stream, message) {
        messages.push(message);
        log.push(`message ${message.length}`);
        return --reader.room > 0;
      },
      isRead: () => reader.unread === 0,
      release: (_stream, done) => done(),
      fail: (_stream, done, error) => done(error),
    },
    streaming,
  );
  streaming.connect(flow);
  const write = (text: string) =>
    flow.take(bytes(text), (error) => void log.push(error ? `failed: ${error.code}` : 'written'));
  const end = () => flow.finish((error) => void log.push(error ? `failed: ${error.code}` : 'ended'));
  const seen = () => log.splice(0).join(', ');
  return { flow, streaming, messages, write, end, seen, reader };
}

describe('Streaming', () => {
  it('hands out a message with its length, and its bytes as its reader wants them', () => {
    const { messages, write, end, seen } = flowing();
    write('04');
    expect(seen()).to.equal('message 4, written');
    const { body } = messages[0]!;
    write('6162');
    expect([seen(), body.seen()]).to.deep.equal(['', '']);
    expect([body.want(1), seen()]).to.deep.equal(['6162', 'written']);
    expect(body.want(1)).to.equal('');
    write('63');
    expect([body.seen(), seen()]).to.deep.equal(['63', 'written']);
    write('64 01 65');
    expect([body.want(1), seen()]).to.deep.equal(['64 end', 'message 1']);
    expect(messages[1]!.body.want(9)).to.equal('65 end');
    expect(seen()).to.equal('written');
    end();
    expect(seen()).to.equal('ended');
  });

  it('is done with a write when a piece more is wanted, by the reader of messages or of the body', () => {
    const { flow, messages, write, seen } = flowing(undefined, 1, false);
    write('04 61');
    expect(seen()).to.equal('message 4');
    const { body } = messages[0]!;
    expect([body.want(1), seen()]).to.deep.equal(['61', '']);
    expect([body.want(2), seen()]).to.deep.equal(['', 'written']);
    write('62');
    expect([body.seen(), seen()]).to.deep.equal(['62', 'written']);
    body.isRead = false;
    write('63');
    expect([body.seen(), seen()]).to.deep.equal(['63', '']);
    body.want(3);
    expect(seen()).to.equal('written');
    // Its reader wants more than there is: all of it is there.
    write('64');
    expect([body.seen(), seen()]).to.deep.equal(['64 end', '']);
    flow.want();
    expect(seen()).to.equal('written');
  });

  it('waits for the reader of messages once the body is closed', () => {
    const { flow, messages, write, seen, reader } = flowing(undefined, 1, false);
    write('02 61');
    messages[0]!.body.want(2);
    expect(seen()).to.equal('message 2, written');
    messages[0]!.body.close();
    write('62 01 63');
    expect(seen()).to.equal('');
    reader.room = 1;
    flow.want();
    expect(seen()).to.equal('message 1');
  });

  it('has no next message before the body is read or closed', () => {
    const { messages, write, seen } = flowing();
    write('02 6162 01 63 03 6465');
    expect(seen()).to.equal('message 2');
    messages[0]!.body.close();
    expect(seen()).to.equal('message 1');
    messages[1]!.body.want(1);
    expect(seen()).to.equal('message 3');
    messages[2]!.body.close();
    expect(seen()).to.equal('written');
    write('66 00 01 67');
    expect(seen()).to.equal('message 0, message 1');
    expect(messages[3]!.body.seen()).to.equal('end');
  });

  it('has no next message, nor looks for one, before the last bytes of the body were taken', () => {
    let looks = 0;
    const lengthField = {
      maxWidth: 1,
      read: (input: Uint8Array, start: number) => ({ length: input[start]!, width: Math.sign(++looks) }),
      write: (length: number) => Uint8Array.of(length),
    };
    const { flow, streaming, messages, write, seen } = flowing({ lengthField });
    write('01 61 01 62 01 63');
    const { body } = messages[0]!;
    body.isRead = false;
    expect(body.want(5)).to.equal('61 end');
    streaming.wasRead();
    flow.want();
    expect([seen(), looks]).to.deep.equal(['message 1', 1]);
    body.isRead = true;
    streaming.wasRead();
    expect([seen(), looks]).to.deep.equal(['message 1', 2]);
    const next = messages[1]!.body;
    next.isRead = false;
    next.want(1);
    // Nobody takes them.
    next.close();
    expect([seen(), looks]).to.deep.equal(['message 1', 3]);
    // One that is all there can be read though the stream is destroyed.
    const last = messages[2]!.body;
    last.isRead = false;
    last.want(1);
    flow.destroy('reason');
    expect(last.seen()).to.equal('');
  });

  it('goes at the pace of who reads messages, too', () => {
    const { flow, messages, write, reader, seen } = flowing(undefined, 1);
    write('01 61 00 01 62');
    expect(seen()).to.equal('message 1');
    messages[0]!.body.want(1);
    expect(seen()).to.equal('');
    reader.room = 1;
    flow.want();
    expect(seen()).to.equal('message 0');
    reader.room = 1;
    flow.want();
    expect(seen()).to.equal('message 1');
  });

  it('a body may ask for more inside of push', () => {
    const { streaming, messages, write, seen } = flowing();
    write('04 61');
    const { body } = messages[0]!;
    body.onPush = () => streaming.want(body);
    expect(body.want(1)).to.equal('61');
    write('6263');
    expect(body.seen()).to.equal('6263');
    write('64 01 65');
    expect(body.seen()).to.equal('64 end');
    expect(seen()).to.equal('message 4, written, written, message 1');
    // One that is done with gets nothing of the next.
    expect(body.want(5)).to.equal('');
    body.close();
    expect(messages[1]!.body.want(1)).to.equal('65 end');
  });

  it('a body may be closed inside of push', () => {
    const { messages, write, seen } = flowing();
    write('04 61');
    const { body } = messages[0]!;
    body.onPush = () => body.close();
    expect(body.want(5)).to.equal('61');
    write('6263');
    write('64 01 65');
    expect([body.seen(), seen()]).to.deep.equal(['', 'message 4, written, written, message 1']);
    expect(messages[1]!.body.want(1)).to.equal('65 end');
  });

  it('a body closed without being read is passed over, however it is cut', () => {
    for (let size = 1; size <= 9; size++) {
      const { messages, write, end, seen } = flowing({ lengthField: 'uint16be', initialBytesToStrip: 0 });
      const wire = '0003 616263 0000 0001 64';
      const all = bytes(wire);
      let closed = 0;
      for (let at = 0; at < all.length; at += size) {
        write(hex(all.subarray(at, at + size)));
        for (; closed < messages.length; closed++) messages[closed]!.body.close();
      }
      end();
      expect(messages.map(({ length }) => length)).to.deep.equal([5, 2, 3]);
      expect(seen()).to.match(/ended$/);
    }
  });

  describe('faults', () => {
    it('of the next frame wait for the body before them', () => {
      const { streaming, messages, write, seen } = flowing({ lengthField: 'uint8', maxPayloadLength: 2 });
      write('01 61 03');
      expect(seen()).to.equal('message 1');
      const { body } = messages[0]!;
      body.isRead = false;
      expect([body.want(1), seen()]).to.deep.equal(['61 end', '']);
      body.isRead = true;
      streaming.wasRead();
      expect(seen()).to.equal('failed: ERR_FRAME_TOO_LONG');
    });

    it('of the end inside a body come when what there is of it was read', () => {
      const { flow, messages, write, end, seen } = flowing();
      write('03 61');
      expect(seen()).to.equal('message 3');
      const { body } = messages[0]!;
      body.isRead = false;
      body.want(1);
      expect([body.seen(), seen()]).to.deep.equal(['', 'written']);
      end();
      expect(seen()).to.equal('');
      body.isRead = true;
      flow.wasRead();
      expect(seen()).to.equal('failed: ERR_FRAME_TRUNCATED');
    });

    it('of the end inside a body come at once where that is closed', () => {
      const { messages, write, end, seen } = flowing();
      write('03 61');
      messages[0]!.body.isRead = false;
      messages[0]!.body.want(1);
      seen();
      end();
      expect(seen()).to.equal('');
      messages[0]!.body.close();
      expect(seen()).to.equal('failed: ERR_FRAME_TRUNCATED');
    });

    it('memory that is gone: in front of all else', () => {
      const { flow, messages, seen } = flowing();
      const chunk = bytes('02 6162 01 63');
      flow.take(chunk, (error) => expect(error).to.include({ code: 'ERR_INVALID_STATE' }));
      structuredClone(chunk, { transfer: [chunk.buffer] });
      messages[0]!.body.want(1);
      expect(seen()).to.equal('message 2');
      expect(flow.fault).to.include({ code: 'ERR_INVALID_STATE' });
      expect(flow.isBusy).to.equal(false);
    });
  });

  it('destroy destroys the body, with the reason, and calls nothing back', () => {
    const { flow, messages, write, seen } = flowing();
    write('03 61');
    seen();
    expect(flow.destroy('reason')).to.be.a('function');
    expect(messages[0]!.body.seen()).to.equal('destroyed: reason');
    messages[0]!.body.close();
    expect(messages[0]!.body.want(3)).to.equal('');
    expect(seen()).to.equal('');
    expect(flow.destroy('again')).to.equal(undefined);
    expect(messages[0]!.body.seen()).to.equal('');
  });
});

describe('FrameParser', () => {
  it('is the work of a flow: messages, or batches of them', () => {
    for (const batch of [false, true]) {
      const reading = new FrameParser<Uint8Array, unknown>({ lengthField: 'uint8', batch } as object);
      expect([reading.isSettled, reading.isRead, reading.next()]).to.deep.equal([true, true, undefined]);
      reading.push(bytes('01 61 00 01'));
      expect(reading.isSettled).to.equal(false);
      if (batch) expect(reading.next()).to.deep.equal([bytes('61'), bytes('')]);
      else expect([reading.next(), reading.next()]).to.deep.equal([bytes('61'), bytes('')]);
      expect([reading.next(), reading.isSettled]).to.deep.equal([undefined, true]);
      expect(thrownBy(() => reading.finish())).to.include({ code: 'ERR_FRAME_TRUNCATED', position: 3 });
      reading.destroy();
      reading.finish();
    }
  });
});
