/**
 * A release, from CHANGELOG.md: `npm version` runs `npm run version`, which gives the section *Unreleased* the version of
 * package.json and the date; `npm run release-notes` prints the section of a version, the last one by default.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { root } from './pages.js';

/** The text of a version's section. */
export function notesOf(changelog: string, version: string): string {
  const section = changelog.split(/^(?=## \[)/m).find((each) => each.startsWith(`## [${version}]`));
  const notes = section?.replace(/^.*\n/, '').trim();
  if (!notes) throw new Error(`CHANGELOG.md says nothing under ## [${version}]`);
  return notes;
}

/** The changelog in which all that was unreleased is this version. */
export function released(changelog: string, version: string, date: string): string {
  notesOf(changelog, 'Unreleased');
  if (changelog.includes(`## [${version}]`)) throw new Error(`CHANGELOG.md has a section ## [${version}] already`);
  return changelog.replace('## [Unreleased]', `## [Unreleased]\n\n## [${version}] - ${date}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const changelog = readFileSync(`${root}CHANGELOG.md`, 'utf8');
  const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
  const [command, given = version] = process.argv.slice(2);
  if (command === 'notes') console.log(notesOf(changelog, given.replace(/^v/, '')));
  else writeFileSync(`${root}CHANGELOG.md`, released(changelog, version, new Date().toISOString().slice(0, 10)));
}
