import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { boundariesIn, choices, cutAt, cutsOf, placesOf } from '../../lib/fuzz/cut.js';
import { anyCut, type CutOptions } from '../../lib/fuzz/index.js';
import { fromHex } from '../support/streams.js';

// Two frames: of 5 bytes, and of 12.
const wire = Buffer.from('\x01\0\0\0a\x08\0\0\0bcdefghi', 'latin1');

const sizesOf = (chunks: Buffer[]) => chunks.map((chunk) => chunk.length);

/** What a failure shrinks to, by the chunks' sizes; undefined when it was not found. */
function shrunk(
  bytes: Buffer,
  fails: (places: number[], sizes: number[]) => boolean,
  seed: number,
  options?: CutOptions,
) {
  const { counterexample } = fc.check(
    fc.property(anyCut(bytes, options), (chunks) => !fails(placesOf(chunks), sizesOf(chunks))),
    { seed, numRuns: 5000 },
  );
  return counterexample?.[0] && sizesOf(counterexample[0]);
}

const seeds = Array.from({ length: 200 }, (_, i) => i * 7919);

describe('anyCut', () => {
  it('cuts all the bytes, in order, each chunk a copy', () => {
    fc.assert(
      fc.property(
        fc
          .uint8Array({ maxLength: 40 })
          .chain((bytes) => fc.tuple(fc.constant(Buffer.from(bytes)), anyCut(bytes), anyCut(bytes, { empty: false }))),
        ([bytes, ...cuts]) => {
          for (const chunks of cuts) expect(Buffer.concat(chunks)).to.deep.equal(bytes);
          expect(cuts[1]!.every((chunk) => chunk.length > 0)).to.equal(true);
          const before = Buffer.from(bytes);
          for (const chunk of cuts.flat()) chunk.fill(0xee);
          expect(bytes).to.deep.equal(before);
        },
      ),
    );
  });

  it('comes upon every place, whole bytes and single ones, and empty chunks at either end', () => {
    const cuts = fc.sample(anyCut(wire, { boundaries: {} }), 2000);
    expect(new Set(cuts.flatMap(placesOf))).to.deep.equal(new Set(Array.from({ length: 18 }, (_, i) => i)));
    const sizes = cuts.map((chunks) => sizesOf(chunks).join());
    expect(sizes).to.include('17').and.to.include(Array(17).fill(1).join());
    expect(cuts.some((chunks) => chunks[0]!.length === 0)).to.equal(true);
    expect(cuts.some((chunks) => chunks.at(-1)!.length === 0)).to.equal(true);
  });

  it('cuts most around the boundaries that it is given, or finds by a format', () => {
    const frames = Array.from({ length: 100 }, (_, i) => Buffer.alloc(204, i).fill(0, 1, 4).fill(200, 0, 1));
    const bytes = Buffer.concat(frames);
    const starts = frames.map((_, i) => i * 204);
    const inPrefix = (options: CutOptions) => {
      const cuts = fc.sample(anyCut(bytes, options), { numRuns: 500, seed: 1 });
      const few = cuts.filter((chunks) => chunks.length < 50).flatMap(placesOf);
      return few.filter((place) => place > 204 && place % 204 > 0 && place % 204 < 4).length / few.length;
    };
    expect(inPrefix({})).to.be.lessThan(0.05);
    expect(inPrefix({ boundaries: {} })).to.be.greaterThan(0.15);
    expect(inPrefix({ boundaries: starts })).to.be.greaterThan(0.15);
  });

  it('is the same again with the same seed', () => {
    const sample = () => fc.sample(anyCut(wire), { seed: 5, numRuns: 50 });
    expect(sample()).to.deep.equal(sample());
  });

  describe('shrinks to the simplest cut that fails', () => {
    const some =
      (...wanted: number[]) =>
      (places: number[]) =>
        places.some((place) => wanted.includes(place));
    const all =
      (...wanted: number[]) =>
      (places: number[]) =>
        wanted.every((place) => places.includes(place));
    const failures: [string, (places: number[], sizes: number[]) => boolean, number[]][] = [
      ['none, when all fail', () => true, [17]],
      ['a prefix that is cut', some(1, 2, 3, 6, 7, 8), [1, 16]],
      ['the second prefix that is cut', some(6, 7, 8), [6, 11]],
      ['one place of two far apart', some(3, 16), [3, 14]],
      ['the last place', some(16), [16, 1]],
      ['two places that both have to be cut', all(5, 9), [5, 4, 8]],
      ['two of which one is a choice', (places) => all(9)(places) && some(2, 4)(places), [2, 7, 8]],
      ['three chunks', (_, sizes) => sizes.length >= 3, [1, 1, 15]],
      ['a chunk of one byte that is not the first', (_, sizes) => sizes.lastIndexOf(1) > 0, [16, 1]],
      ['an empty chunk', (_, sizes) => sizes.includes(0), [0, 17]],
      ['an empty chunk behind bytes', (_, sizes) => sizes.lastIndexOf(0) > 0, [1, 0, 16]],
      ['an empty chunk at the end', (_, sizes) => sizes.at(-1) === 0, [17, 0]],
      [
        'an empty chunk in a prefix',
        (places) => [6, 7, 8].some((at) => places.filter((p) => p === at).length > 1),
        [6, 0, 11],
      ],
      ['more than eight chunks', (_, sizes) => sizes.length > 8, [1, 1, 1, 1, 1, 1, 1, 1, 9]],
    ];
    for (const [name, fails, expected] of failures) {
      it(`${name}: from any seed`, () => {
        for (const seed of seeds) expect(shrunk(wire, fails, seed), `seed ${seed}`).to.deep.equal(expected);
      });
    }

    it('with no empty chunks where there may be none', () => {
      expect(shrunk(wire, (_, sizes) => sizes.includes(0), 1, { empty: false })).to.equal(undefined);
    });

    it('also of bytes too long to try each place', () => {
      const long = Buffer.alloc(100_000);
      const boundaries = [50_000];
      for (const seed of seeds.slice(0, 10)) {
        const late = (places: number[]) => places.some((place) => place >= 49_999);
        expect(shrunk(long, late, seed, { boundaries })).to.deep.equal([49_999, 50_001]);
        const both = (places: number[]) => places.some((place) => place > 0 && place < 4000) && late(places);
        expect(shrunk(long, both, seed, { boundaries })).to.deep.equal([1, 49_998, 50_001]);
      }
    });

    it('also an example of the user', () => {
      const { counterexample, numRuns } = fc.check(
        fc.property(anyCut(wire), (chunks) => !placesOf(chunks).includes(9)),
        { examples: [[cutAt(wire, [0, 3, 9, 9, 12])]] },
      );
      expect(numRuns).to.equal(1);
      expect(sizesOf(counterexample![0])).to.deep.equal([9, 8]);
    });

    it('also an example with chunks of another realm', () => {
      const chunks = runInNewContext('[new Uint8Array(3), new Uint8Array(9), new Uint8Array(5)]');
      const property = fc.property(anyCut(wire), (each) => each.length < 2);
      const { counterexample } = fc.check(property, { examples: [[chunks]] });
      expect(sizesOf(counterexample![0])).to.deep.equal([1, 16]);
    });

    it('inside other arbitraries', () => {
      const both = fc.tuple(fc.nat(), anyCut(wire));
      const { counterexample } = fc.check(fc.property(both, ([n, chunks]) => n < 5 || chunks.length < 2));
      expect(counterexample![0][0]).to.equal(5);
      expect(sizesOf(counterexample![0][1])).to.deep.equal([1, 16]);
    });
  });

  it('works with the fast-check that is required', () => {
    const required = createRequire(import.meta.url)('fast-check') as typeof fc;
    expect(required).to.not.equal(fc);
    const { counterexample } = required.check(
      required.property(anyCut(wire) as never, (chunks: Buffer[]) => chunks.length < 2),
    );
    expect(sizesOf(counterexample![0])).to.deep.equal([1, 16]);
  });
});

describe('cuts', () => {
  it('are places, and places cuts', () => {
    const cut = (places: number[]) => cutAt(wire, places).map((chunk) => chunk.toString('latin1').length);
    expect(cut([])).to.deep.equal([17]);
    expect(cut([0, 5, 5, 17])).to.deep.equal([0, 5, 0, 12, 0]);
    expect(cutAt(Buffer.alloc(0), [])).to.deep.equal([]);
    expect(cutAt(Buffer.alloc(0), [0])).to.deep.equal([Buffer.alloc(0)]);
    for (const places of [[], [3], [0], [17], [0, 0, 4, 4, 9, 17]]) {
      expect(placesOf(cutAt(wire, places))).to.deep.equal(places);
    }
    for (const places of [[], [0], [0, 0]]) {
      expect(placesOf(cutAt(Buffer.alloc(0), places))).to.deep.equal(places);
    }
  });

  it('are counted and enumerated, in order', () => {
    expect([...cutsOf(4, 0)]).to.deep.equal([[]]);
    expect([...cutsOf(4, 1)]).to.deep.equal([[1], [2], [3]]);
    expect([...cutsOf(4, 2)]).to.deep.equal([
      [1, 2],
      [1, 3],
      [2, 3],
    ]);
    expect([...cutsOf(4, 4)]).to.deep.equal([]);
    for (let count = 0; count < 12; count++) expect([...cutsOf(12, count)].length).to.equal(choices(11, count));
  });

  it('have boundaries where frames and payloads begin and end, up to what is no frame', () => {
    expect(boundariesIn(wire, {})).to.deep.equal([0, 4, 5, 9, 17]);
    expect(boundariesIn(wire, [3, 99, 3, -1])).to.deep.equal([0, 3, 17]);
    expect(boundariesIn(wire)).to.deep.equal([0, 17]);
    const wrong = fromHex('01 61 ff ff ff ff ff ff ff ff ff ff ff 00');
    expect(boundariesIn(wrong, { lengthField: 'varint' })).to.deep.equal([0, 1, 2, 14]);
    expect(boundariesIn(wire.subarray(0, 7), {})).to.deep.equal([0, 4, 5, 7]);
    expect(() => anyCut(wire, { boundaries: { lengthField: 'uint9' as never } })).to.throw(/options\.lengthField/);
  });
});
