import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { commands, optionsOf } from '../../lib/cli/commands.js';
import { exitCodes } from '../../lib/cli/help.js';
import { cleanUp } from '../support/programs.js';
import { runtime } from '../support/runtime.js';
import { play, sessionsOf, timeless } from './sessions.js';

const folder = fileURLToPath(new URL('../../../lib/cli/', import.meta.url));
const page = readFileSync(`${folder}README.md`, 'utf8');

describe('the page of the command', () => {
  afterEach(cleanUp);

  for (const { commands, output } of sessionsOf(page)) {
    it(`prints what it says: ${commands[0]}`, async function () {
      if (process.platform === 'win32' || runtime !== 'node') this.skip();
      const printed = (await play(commands)).flat().map(timeless);
      const expected = output.map(timeless);
      const isInOrder = !commands.some((command) => command.endsWith('&'));
      if (isInOrder) expect(printed).to.deep.equal(expected);
      else expect(printed.sort()).to.deep.equal(expected.sort());
    });
  }

  it('has all commands, and a session for each', () => {
    const sessions = sessionsOf(page).flatMap(({ commands }) => commands);
    for (const { name } of commands) {
      expect(page).to.include(`[\`${name}\`](#`);
      expect(
        sessions.some((command) => command.includes(`length-prefix ${name} `)),
        name,
      ).to.equal(true);
    }
  });

  it('has the exit codes as --help has them', () => {
    const section = page.slice(page.indexOf('\n## Exit codes'));
    const rows = Array.from(section.slice(0, section.indexOf('\n## ', 1)).matchAll(/^\| (\d+) \| (.*) \|$/gm));
    expect(rows.map(([, code, text]) => [Number(code), text!.replaceAll('`', '')])).to.deep.equal(exitCodes);
  });

  it('names no option that is not there', () => {
    const known = new Set(commands.flatMap((command) => Object.keys(optionsOf(command))));
    for (const [, name] of page.matchAll(/`?--([a-z][a-z-]+)/g))
      if (name !== 'global') expect([...known]).to.include(name);
  });
});
