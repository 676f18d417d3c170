import { expect } from 'chai';
import fc from 'fast-check';
import { Fifo } from '../../lib/wire/fifo.js';
import { runs } from '../support/runs.js';

describe('Fifo', () => {
  it('gives items in the order they came', () => {
    const fifo = new Fifo<string>();
    expect([fifo.length, fifo.shift(), fifo.length]).to.deep.equal([0, undefined, 0]);
    for (const item of ['a', 'b', 'c']) fifo.push(item);
    expect([fifo.length, fifo.shift()]).to.deep.equal([3, 'a']);
    fifo.push('d');
    expect([...fifo]).to.deep.equal(['b', 'c', 'd']);
    expect([fifo.shift(), fifo.shift(), fifo.shift(), fifo.shift()]).to.deep.equal(['b', 'c', 'd', undefined]);
    fifo.push('e');
    fifo.clear();
    expect([fifo.length, fifo.shift(), [...fifo]]).to.deep.equal([0, undefined, []]);
  });

  it('is what an array is, whatever is done in whatever order', () => {
    const steps = fc.array(fc.constantFrom('push', 'push', 'shift', 'shift', 'shift', 'clear'), { size: 'large' });
    fc.assert(
      fc.property(fc.nat(40), steps, (count, steps) => {
        const fifo = new Fifo<number>();
        const array = Array.from({ length: count }, (_, i) => i);
        for (const item of array) fifo.push(item);
        for (const [i, step] of steps.entries()) {
          if (step === 'push') {
            fifo.push(100 + i);
            array.push(100 + i);
          } else if (step === 'shift') {
            expect(fifo.shift()).to.equal(array.shift());
          } else if (i % 7 === 0) {
            fifo.clear();
            array.length = 0;
          }
          expect(fifo.length).to.equal(array.length);
          expect([...fifo]).to.deep.equal(array);
        }
      }),
      { numRuns: runs(100) },
    );
  });

  it('takes items in constant time, a hundred thousand of them', () => {
    const fifo = new Fifo<number>();
    const { slice } = Array.prototype;
    let moved = 0;
    Array.prototype.slice = function (...args) {
      moved += this.length;
      return slice.apply(this, args);
    };
    try {
      const count = 100_000;
      for (let i = 0; i < count; i++) fifo.push(i);
      for (let i = 0; i < count; i++) if (fifo.shift() !== i) expect.fail(`item ${i}`);
      expect(moved).to.be.at.most(3 * count);
    } finally {
      Array.prototype.slice = slice;
    }
  });
});
