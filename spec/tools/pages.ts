import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The top of the project. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Replaces the part of a page between two marks, which are comments. */
export function fill(page: string, mark: string, text: string): void {
  const file = root + page;
  const before = readFileSync(file, 'utf8');
  const [begin, end] = [`<!-- ${mark} -->\n`, `<!-- /${mark} -->`];
  const [from, to] = [before.indexOf(begin) + begin.length, before.indexOf(end)];
  if (from < begin.length || to < from) throw new Error(`${page} has no ${begin.trim()} and ${end}`);
  writeFileSync(file, `${before.slice(0, from)}\n${text}\n\n${before.slice(to)}`);
}
