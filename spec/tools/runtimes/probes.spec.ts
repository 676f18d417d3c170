import { expect } from 'chai';
import { probe, probes } from './probes.js';

describe('on this runtime', () => {
  for (const each of probes) {
    it(`${each.feature}: works, or does not, as the page says`, async () => {
      const { works, expected, error } = await probe(each);
      expect(works, error).to.equal(expected);
    });
  }
});
