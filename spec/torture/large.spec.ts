import { execFile } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { programArgs } from '../support/runtime.js';

const script = fileURLToPath(new URL('../tools/large.js', import.meta.url));

describe('torture: a message larger than its memory (npm run large -- --gib 5)', () => {
  it('is sent and received within 150 MB at either end, byte for byte', async () => {
    const run = await promisify(execFile)(process.execPath, [...programArgs(script), '--gib', '0.25']);
    const [speed, sender, receiver, verdict] = run.stdout.split('\n');
    expect(speed).to.match(/^268435456 bytes /);
    for (const line of [sender, receiver]) expect(Number(/at most (\S+) MB/.exec(line!)?.[1])).to.be.within(10, 150);
    expect(verdict).to.equal('The bytes are the same.');
  });
});
