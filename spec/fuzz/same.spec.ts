import { Buffer } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { isSame } from '../../lib/fuzz/same.js';
import { runs } from '../support/runs.js';

/** The value of an expression, made in another realm. */
const foreign = (source: string) => runInNewContext(`(${source})`);
/** The value of the same expression, made in this realm. */
const local = (source: string) => new Function(`return (${source})`)();

describe('isSame', () => {
  it('compares bytes as bytes, whatever their class and realm, at any depth', () => {
    const own = Buffer.from('hi');
    for (const other of [new Uint8Array(own), foreign('new Uint8Array([104, 105])')]) {
      expect(isSame(own, other)).to.equal(true);
      expect(isSame({ a: [own] }, { a: [other] })).to.equal(true);
      expect(isSame(own, other.subarray(1))).to.equal(false);
      expect(isSame({ a: [own] }, { a: [other.subarray(1)] })).to.equal(false);
    }
    expect(isSame(own, 'hi')).to.equal(false);
    expect(isSame(Buffer.alloc(2), new Int8Array(2))).to.equal(false);
  });

  const values = [
    '[]',
    '[1, , 3]',
    '[1]',
    '[1, , ]',
    '{ a: { b: [null, undefined] } }',
    '{ ["__proto__"]: 1 }',
    'Object.assign([1], { more: 2 })',
    '{ [Symbol.iterator]: 1 }',
    'new Map([["a", { b: 1 }], [{}, [2]]])',
    'new Set([1, [2]])',
    'new Date(5)',
    '/a/g',
    'new Error("mine")',
    'new Uint16Array([1, 2])',
    'new Uint8Array([3]).buffer',
    'new Number(3)',
    'Object.create(null)',
  ];
  for (const source of values) {
    it(`knows ${source} of another realm, and tells it from all others`, () => {
      for (const other of values) {
        expect(isSame(local(source), foreign(other)), other).to.equal(source === other);
        expect(isSame(foreign(source), local(other)), other).to.equal(source === other);
        expect(isSame({ in: foreign(source) }, { in: foreign(other) }), other).to.equal(source === other);
      }
    });
  }

  it('tells values from each other that differ in one place', () => {
    expect(isSame([1, { a: 2 }], foreign('[1, { a: 3 }]'))).to.equal(false);
    expect(isSame({ a: 1 }, foreign('{ a: 1, b: undefined }'))).to.equal(false);
    expect(isSame(new Map([[1, { a: 2 }]]), foreign('new Map([[1, { a: 3 }]])'))).to.equal(false);
    expect(isSame(new Date(5), foreign('new Date(6)'))).to.equal(false);
    expect(isSame(1, '1')).to.equal(false);
    expect(isSame(Number.NaN, Number.NaN)).to.equal(true);
    expect(isSame(0, -0)).to.equal(false);
  });

  it('keeps classes apart, also with values of another realm in them', () => {
    class Mine {
      readonly held: unknown;
      constructor(held: unknown) {
        this.held = held;
      }
    }
    class Other extends Mine {}
    class Dictionary extends Map<unknown, unknown> {}
    expect(isSame(new Mine([1]), new Mine(foreign('[1]')))).to.equal(true);
    expect(isSame(new Mine([1]), new Other(foreign('[1]')))).to.equal(false);
    expect(isSame({ held: [1] }, new Mine(foreign('[1]')))).to.equal(false);
    expect(isSame(new Map([[1, [1]]]), new Dictionary([[1, foreign('[1]')]]))).to.equal(false);
    expect(isSame(new Dictionary([[1, [1]]]), new Dictionary([[1, foreign('[1]')]]))).to.equal(true);
    const promise = foreign('Promise.resolve()');
    expect(isSame([promise], [promise])).to.equal(true);
    expect(isSame([promise], [Promise.resolve()])).to.equal(false);
  });

  it('follows a value that holds itself', () => {
    const make = (own: { list: unknown[] }) => {
      own.list.push(own);
      return own;
    };
    expect(isSame(make({ list: [1] }), make(foreign('{ list: [1] }')))).to.equal(true);
    expect(isSame(make({ list: [1] }), make(foreign('{ list: [2] }')))).to.equal(false);
  });

  it('is isDeepStrictEqual where there are no bytes and one realm, and survives a change of realm', () => {
    const parse = runInNewContext('JSON.parse');
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(isSame(a, b)).to.equal(isDeepStrictEqual(a, b));
        const plain = JSON.stringify(a);
        expect(isSame(JSON.parse(plain), parse(plain))).to.equal(true);
        expect(isSame(b, parse(plain))).to.equal(isDeepStrictEqual(b, JSON.parse(plain)));
      }),
      { numRuns: runs(200) },
    );
  });
});
