import { expect } from 'chai';
import { Deadline } from '../../lib/wire/deadline.js';
import { decodingSettings } from '../../lib/wire/decoding.js';
import type { FrameError } from '../../lib/wire/errors.js';
import { uint8Arrays } from '../../lib/wire/memory.js';
import { FrameParser } from '../../lib/wire/parser.js';

const TIMEOUT = 100;

/** A deadline whose clock the test moves. */
class Rig {
  now = 1000;
  timers: { at: number; run: () => void }[] = [];
  turns: (() => void)[] = [];
  errors: FrameError[] = [];
  /** Timers that were set in all. */
  set = 0;
  readonly parser: FrameParser<any, unknown>;
  readonly deadline: Deadline<Uint8Array, unknown>;

  constructor(options: object = {}) {
    this.parser = new FrameParser<any, unknown>(decodingSettings({ lengthField: 'uint8', ...options }, uint8Arrays));
    const clock = {
      now: () => this.now,
      after: (ms: number, run: () => void) => {
        const timer = { at: this.now + ms, run };
        this.timers.push(timer);
        this.set++;
        return () => void this.timers.splice(this.timers.indexOf(timer), 1);
      },
      nextTurn: (run: () => void) => void this.turns.push(run),
    };
    this.deadline = new Deadline(this.parser, this.parser, TIMEOUT, clock, (error) => this.errors.push(error));
  }

  /** Bytes come, and the reader takes all that they make: `reading` ms later. */
  come(bytes: number[], reading = 0): void {
    this.deadline.push(Uint8Array.from(bytes));
    this.pass(reading);
    while (this.deadline.next() !== undefined);
    this.deadline.onRelease();
  }

  /** Time passes. Timers that are due run, each on time, but for those in a loop that is blocked. */
  pass(ms: number, { blocked = false } = {}): void {
    const end = this.now + ms;
    if (blocked) this.now = end;
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.now = Math.max(this.now, due.at);
      this.timers.splice(this.timers.indexOf(due), 1);
      due.run();
      if (!blocked) this.turn();
    }
    this.now = end;
  }

  /** The event loop turns. */
  turn(): void {
    for (const run of this.turns.splice(0)) run();
  }
}

describe('Deadline: the deadline of a frame', () => {
  it('is over when a frame that has begun is not complete in time: the error says how many bytes came', () => {
    const rig = new Rig();
    rig.come([1, 0, 5, 1, 2]);
    rig.pass(TIMEOUT - 1);
    expect(rig.errors).to.deep.equal([]);
    rig.pass(1);
    expect(rig.errors[0]).to.include({ code: 'ERR_FRAME_TIMEOUT', position: 2 });
    expect(rig.errors[0]!.message).to.equal(
      'Frame at byte 2: the frame was not complete within 100 ms (frameTimeout), 3 bytes of it came',
    );
    rig.pass(10 * TIMEOUT);
    expect(rig.errors).to.have.lengthOf(1);
    expect(rig.timers).to.have.lengthOf(0);
  });

  it('counts from the first byte, however often others come', () => {
    const rig = new Rig();
    rig.come([200]);
    for (let i = 0; i < 9; i++) {
      rig.pass(TIMEOUT / 10);
      rig.come([i]);
    }
    rig.pass(TIMEOUT / 10);
    expect(rig.errors).to.have.lengthOf(1);
  });

  it('is not for a quiet connection, which has no timer', () => {
    const rig = new Rig();
    rig.come([1, 0]);
    rig.pass(10 * TIMEOUT);
    rig.come([3]);
    rig.come([0, 0, 0]);
    rig.pass(10 * TIMEOUT);
    expect(rig.errors).to.deep.equal([]);
    expect(rig.timers).to.have.lengthOf(0);
    expect(rig.set).to.equal(1);
  });

  it('is begun anew with each frame, by one timer for many', () => {
    const rig = new Rig();
    // The end of one frame and the beginning of the next, each time.
    rig.come([2, 0]);
    for (let i = 0; i < 100; i++) {
      rig.pass(TIMEOUT / 10);
      rig.come([0, 2, 0]);
      expect(rig.timers).to.have.lengthOf(1);
    }
    expect(rig.errors).to.deep.equal([]);
    expect(rig.set).to.be.at.most(13);
    rig.pass(TIMEOUT);
    expect(rig.errors).to.have.lengthOf(1);
  });

  it('stands while the reader makes the peer wait', () => {
    const rig = new Rig();
    rig.come([9, 0]);
    rig.pass(60);
    rig.come([0], 10 * TIMEOUT);
    rig.pass(39);
    expect(rig.errors).to.deep.equal([]);
    rig.pass(1);
    expect(rig.errors).to.have.lengthOf(1);
  });

  it('gives bytes a chance that came while the event loop was blocked, and as much time more', () => {
    const rig = new Rig();
    rig.come([9, 0]);
    rig.pass(350, { blocked: true });
    rig.come([0]);
    rig.turn();
    rig.pass(249);
    expect(rig.errors).to.deep.equal([]);
    rig.pass(1);
    expect(rig.errors).to.have.lengthOf(1);
  });

  it('gives more time once for a frame, in a loop that is often blocked', () => {
    const rig = new Rig();
    rig.come([255]);
    let time = 0;
    while (rig.errors.length === 0 && time < 1000) {
      rig.pass(5, { blocked: true });
      rig.come([0]);
      rig.turn();
      time += 5;
    }
    expect(time).to.be.within(TIMEOUT, 2 * TIMEOUT);
  });

  it('is over when the event loop was blocked and nothing came', () => {
    const rig = new Rig();
    rig.come([9, 0]);
    rig.pass(350, { blocked: true });
    expect(rig.errors).to.deep.equal([]);
    rig.turn();
    expect(rig.errors).to.have.lengthOf(1);
  });

  it('a frame that is complete after a blocked loop is in time, and the next one has all of its time', () => {
    const rig = new Rig();
    rig.come([2, 0]);
    rig.pass(350, { blocked: true });
    rig.come([0, 2]);
    rig.turn();
    rig.pass(TIMEOUT - 1);
    expect(rig.errors).to.deep.equal([]);
    rig.pass(1);
    expect(rig.errors[0]).to.include({ position: 3 });
  });

  it('is over at its time though a byte comes now and then', () => {
    const rig = new Rig();
    rig.come([255]);
    let time = 0;
    while (rig.errors.length === 0 && time < 200) {
      rig.pass(1);
      rig.come([0]);
      time++;
    }
    expect(time).to.equal(TIMEOUT);
  });

  it('is begun anew by each 64 KiB of a body', () => {
    const rig = new Rig({ lengthField: 'uint32be', stream: true });
    const body = (bytes: Uint8Array) => {
      rig.deadline.push(bytes);
      if (rig.parser.insideFrame) while (rig.parser.nextPart() !== undefined);
      else rig.parser.nextLength();
      rig.deadline.onRelease();
    };
    body(Uint8Array.of(0, 16, 0, 0));
    for (let i = 0; i < 3; i++) {
      rig.pass(TIMEOUT - 1);
      body(new Uint8Array(65_536));
    }
    rig.pass(TIMEOUT - 1);
    body(new Uint8Array(65_531));
    expect(rig.errors).to.deep.equal([]);
    rig.pass(1);
    expect(rig.errors).to.have.lengthOf(1);
  });

  it('is for frames that are passed over, too', () => {
    const rig = new Rig({ maxPayloadLength: 2, oversize: 'skip' });
    rig.come([9, 0]);
    rig.pass(TIMEOUT);
    expect(rig.errors).to.have.lengthOf(1);
  });

  for (const end of ['finish', 'stop', 'destroy'] as const) {
    it(`has no timer behind ${end}`, () => {
      const rig = new Rig();
      rig.come([2]);
      try {
        rig.deadline[end](undefined);
      } catch (error) {
        expect(error).to.include({ code: 'ERR_FRAME_TRUNCATED' });
      }
      expect(rig.timers).to.have.lengthOf(0);
      rig.pass(TIMEOUT);
      expect(rig.errors).to.deep.equal([]);
    });

    it(`is forgotten when ${end} comes in the turn in which it is over`, () => {
      const rig = new Rig();
      rig.come([2]);
      rig.pass(TIMEOUT, { blocked: true });
      try {
        rig.deadline[end](undefined);
      } catch {
        // As above.
      }
      rig.turn();
      expect(rig.errors).to.deep.equal([]);
    });
  }
});
