import { expect } from 'chai';
import { Flow, type Outlet, type Work } from '../../lib/wire/flow.js';
import { thrownBy } from '../support/streams.js';

/** What is written becomes its letters. `!` is a fault of `next`, `?` one of `take`. */
class Letters implements Work<string, string> {
  letters = '';
  isRead = true;
  cutEnd = false;
  destroyed: unknown[] = [];

  push(input: string): void {
    if (input === '?') throw new Error('take');
    this.letters += input;
  }

  next(): string | undefined {
    const letter = this.letters[0];
    if (letter === '!') throw new Error('next');
    this.letters = this.letters.slice(1);
    return letter;
  }

  get isSettled(): boolean {
    return this.letters === '';
  }

  finish(): void {
    if (this.cutEnd) throw new Error('finish');
  }

  destroy(reason: unknown): void {
    this.destroyed.push(reason);
    this.letters = '';
  }
}

interface Reader {
  readonly log: string[];
  /** How many pieces are wanted before `push` says false. */
  room: number;
  /** Pieces that the reader has not taken. */
  unread: number;
  onPush: ((piece: string) => void) | undefined;
}

/** A flow, and all that it did in order: pieces, in capitals those that did not go the short way; what was called back. */
function flowing({ isEager = false, room = Number.POSITIVE_INFINITY } = {}) {
  const reader: Reader = { log: [], room, unread: 0, onPush: undefined };
  const take = (stream: Reader, piece: string, logged: string): void => {
    stream.log.push(logged);
    stream.unread++;
    stream.room--;
    stream.onPush?.(piece);
  };
  const outlet: Outlet<Reader, string> = {
    isEager,
    push(stream, piece) {
      take(stream, piece, piece.toUpperCase());
      return stream.room > 0;
    },
    flows: (stream) => stream.room > 1,
    emit: (stream, piece) => take(stream, piece, piece),
    isRead: (stream) => stream.unread === 0,
    release(stream, done, isSync) {
      stream.log.push(isSync ? 'sync' : 'later');
      done();
    },
    fail(_stream, done, error) {
      done(error);
    },
  };
  const work = new Letters();
  const flow = new Flow(reader, outlet, work);
  const done = (name: string) => (error?: Error) => void reader.log.push(error ? `${name}: ${error.message}` : name);
  /** The reader takes all that it has, and wants so many more. */
  const read = (more = Number.POSITIVE_INFINITY) => {
    reader.unread = 0;
    reader.room = more;
    flow.wasRead();
    flow.want();
  };
  /** What was logged since the last time. */
  const seen = () => reader.log.splice(0).join(' ');
  return { flow, work, reader, done, read, seen };
}

describe('Flow', () => {
  it('hands out what a write becomes, then calls back, at once where it can', () => {
    const { flow, done, seen } = flowing();
    flow.take('abc', done('one'));
    expect(seen()).to.equal('A b c sync one');
    flow.take('', done('empty'));
    expect(seen()).to.equal('sync empty');
    expect(flow.isBusy).to.equal(false);
  });

  it("goes at the reader's pace: calls back when a piece more than the last one is wanted", () => {
    const { flow, done, read, seen } = flowing({ room: 2 });
    flow.take('abc', done('one'));
    expect(seen()).to.equal('A B');
    expect(flow.isBusy).to.equal(true);
    read(1);
    expect(seen()).to.equal('C');
    expect(flow.isBusy).to.equal(true);
    read(1);
    expect(seen()).to.equal('later one');
    expect(flow.isBusy).to.equal(false);
    flow.take('d', done('two'));
    expect(seen()).to.equal('D');
  });

  it('an eager one calls back when the last piece was handed out', () => {
    const { flow, done, read, seen } = flowing({ isEager: true, room: 2 });
    flow.take('ab', done('one'));
    expect(seen()).to.equal('A B sync one');
    flow.take('cd', done('two'));
    expect(seen()).to.equal('');
    read(1);
    expect(seen()).to.equal('C');
    read(1);
    expect(seen()).to.equal('D later two');
  });

  it('the end is eager: it waits for no reader that wants more', () => {
    const { flow, done, seen } = flowing({ room: 1 });
    flow.take('', done('one'));
    flow.take('a', done('two'));
    expect(seen()).to.equal('sync one A');
    const other = flowing({ room: 1 });
    other.work.letters = 'a';
    other.flow.finish(other.done('end'));
    expect(other.seen()).to.equal('A later end');
  });

  it('keeps order where a listener asks for more inside of push', () => {
    const { flow, reader, done, seen } = flowing({ room: 1 });
    reader.onPush = () => {
      reader.room = 1;
      flow.want();
      flow.goOn();
    };
    flow.take('abc', done('one'));
    expect(seen()).to.equal('A B C sync one');
  });

  it('what is wanted while nothing is in hand is handed out with the next write', () => {
    const { flow, done, read, seen } = flowing({ room: 1 });
    flow.take('a', done('one'));
    read(1);
    flow.want();
    flow.goOn();
    expect(seen()).to.equal('A later one');
    flow.take('b', done('two'));
    expect(seen()).to.equal('B');
  });

  it('goes on when there is a piece where there was none', () => {
    const { flow, work, done, seen } = flowing();
    Object.defineProperty(work, 'isSettled', { value: false, configurable: true });
    flow.take('a', done('one'));
    expect(seen()).to.equal('A');
    work.letters = 'b';
    Object.defineProperty(work, 'isSettled', { value: true });
    flow.goOn();
    expect(seen()).to.equal('B later one');
  });

  describe('a fault', () => {
    it('of take, next or finish comes behind what was handed out and read', () => {
      for (const [fault, begin] of [
        ['take', (flow: Flow<unknown, string, string>, done: () => void) => flow.take('?', done)],
        ['next', (flow: Flow<unknown, string, string>, done: () => void) => flow.take('!z', done)],
        ['finish', (flow: Flow<unknown, string, string>, done: () => void) => flow.finish(done)],
      ] as const) {
        const { flow, work, reader, done, seen } = flowing();
        work.cutEnd = true;
        flow.take('ab', done('one'));
        expect(seen()).to.equal('A b sync one');
        begin(flow, done('two'));
        expect([seen(), (flow.fault as Error).message, flow.isBusy]).to.deep.equal(['', fault, true]);
        flow.wasRead();
        flow.want();
        expect(seen()).to.equal('');
        reader.unread = 0;
        flow.wasRead();
        expect(seen()).to.equal(`two: ${fault}`);
        flow.wasRead();
        expect([seen(), flow.isBusy]).to.deep.equal(['', false]);
      }
    });

    it('shows at once where all is read', () => {
      const { flow, done, seen } = flowing();
      flow.take('!', done('one'));
      expect(seen()).to.equal('one: next');
    });

    it('hands out nothing behind it', () => {
      const { flow, reader, done, read, seen } = flowing({ room: 1 });
      flow.take('a!b', done('one'));
      expect(seen()).to.equal('A');
      read();
      expect(seen()).to.equal('one: next');
      reader.unread = 0;
      read();
      expect(seen()).to.equal('');
    });

    it('waits for what was handed out by other ways', () => {
      const { flow, work, done, seen } = flowing();
      work.isRead = false;
      flow.take('!', done('one'));
      expect(seen()).to.equal('');
      work.isRead = true;
      flow.wasRead();
      expect(seen()).to.equal('one: next');
    });

    it('that a listener brings on inside of push comes behind that piece', () => {
      const { flow, reader, done, read, seen } = flowing();
      reader.onPush = () => flow.breakOff(new Error('broken'));
      flow.take('ab', done('one'));
      expect(seen()).to.equal('A');
      read();
      expect(seen()).to.equal('one: broken');
    });

    it('of fail comes behind all that was taken before it, at the pace of the reader', () => {
      const { flow, done, read, seen } = flowing({ room: 1 });
      flow.take('abc', done('one'));
      flow.fail(new Error('gone'));
      expect(seen()).to.equal('A');
      read(1);
      expect(seen()).to.equal('B');
      read(2);
      expect(seen()).to.equal('C');
      read();
      expect(seen()).to.equal('one: gone');
    });

    it('of fail may come with a callback of its own, where none is in hand', () => {
      const { flow, reader, done, seen } = flowing();
      flow.take('a', done('one'));
      flow.fail(new Error('gone'), done('two'));
      expect(seen()).to.equal('A sync one');
      reader.unread = 0;
      flow.wasRead();
      expect(seen()).to.equal('two: gone');
    });

    it('of breakOff comes in front of what was not handed out yet', () => {
      const { flow, done, read, seen } = flowing({ room: 1 });
      flow.take('abc', done('one'));
      flow.breakOff(new Error('broken'));
      expect(seen()).to.equal('A');
      read();
      expect(seen()).to.equal('one: broken');
    });

    it('counts once: the first one shows, and one that comes next is not put off by one that comes last', () => {
      const { flow, done, read, seen } = flowing({ room: 1 });
      flow.take('ab!', done('one'));
      flow.fail(new Error('gone'));
      flow.fail(new Error('again'));
      expect((flow.fault as Error).message).to.equal('gone');
      flow.breakOff(new Error('broken'));
      expect(seen()).to.equal('A');
      read();
      expect(seen()).to.equal('one: gone');
    });

    it('may be anything that can be thrown', () => {
      const { flow, work } = flowing();
      work.push = () => {
        throw undefined;
      };
      const called: unknown[][] = [];
      flow.take('a', (...args) => called.push(args));
      expect(called).to.deep.equal([[undefined]]);
      expect(flow.isBusy).to.equal(false);
    });

    it('of a listener is thrown to who called, and leaves the flow in order', () => {
      const { flow, reader, done, read, seen } = flowing();
      reader.onPush = (piece) => {
        if (piece === 'a') throw new Error('listener');
      };
      expect(thrownBy(() => flow.take('ab', done('one')))).to.have.property('message', 'listener');
      expect(seen()).to.equal('A');
      read();
      expect(seen()).to.equal('B later one');
    });
  });

  describe('destroy', () => {
    it('gives back the callback of the write in hand, once, and lets go of all', () => {
      const { flow, work, done, read, seen } = flowing({ room: 1 });
      const one = done('one');
      flow.take('ab', one);
      const reason = new Error('reason');
      expect(flow.destroy(reason)).to.equal(one);
      expect(flow.destroy(reason)).to.equal(undefined);
      expect(work.destroyed).to.deep.equal([reason, reason]);
      read();
      expect(seen()).to.equal('A');
    });

    it('inside of push hands out nothing more and calls nothing back', () => {
      const { flow, reader, done, seen } = flowing();
      reader.onPush = () => void flow.destroy(undefined);
      flow.take('abc', done('one'));
      expect(seen()).to.equal('A');
    });
  });
});
