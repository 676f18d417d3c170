import fc from 'fast-check';

/** The seed of this run's properties: `FC_SEED=... npm test` runs the same ones again. */
const seed = Number(process.env.FC_SEED ?? Math.floor(Math.random() * 2 ** 31));

fc.configureGlobal({ seed });

export const mochaHooks = {
  beforeAll(): void {
    console.log(`  properties: FC_SEED=${seed}`);
  },
};
