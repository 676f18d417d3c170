import fc from 'fast-check';

/** The seed of this run's properties: `FC_SEED=... npm test` runs the same ones again. All processes of mocha's share it. */
process.env.FC_SEED ??= String(Math.floor(Math.random() * 2 ** 31));

fc.configureGlobal({ seed: Number(process.env.FC_SEED) });

export function mochaGlobalSetup(): void {
  console.log(`  properties: FC_SEED=${process.env.FC_SEED}`);
}
