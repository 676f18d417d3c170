/** Keeps messages as files in a directory. */
import { link, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

type Parts = AsyncIterable<Uint8Array>;

export class Saving {
  readonly #directory: string;
  // A file is named after the start of the program, its process, the connection and the message, such as
  // 20250131T120000000Z-4711-000002-000001. No two have one name, and those of a connection sort in their order.
  readonly #run = `${new Date().toISOString().replace(/[-:.]/g, '')}-${process.pid}`;

  static async in(directory: string): Promise<Saving> {
    await mkdir(directory, { recursive: true });
    return new Saving(directory);
  }

  constructor(directory: string) {
    this.#directory = directory;
  }

  save(connection: number, message: number, parts: Parts): Promise<void> {
    return saveNew(join(this.#directory, `${this.#run}-${padded(connection)}-${padded(message)}`), parts);
  }
}

function padded(count: number): string {
  return String(count).padStart(6, '0');
}

/**
 * Writes a file that has its name only once it is whole: who looks into the directory never takes half a message for one.
 * It is always a new one: a name that is there, if only as a link or a pipe, is an error.
 */
async function saveNew(file: string, parts: Parts): Promise<void> {
  const part = `${file}.part`;
  const handle = await open(part, 'wx');
  try {
    await writeFile(handle, parts).finally(() => handle.close());
    await renameNew(part, file);
  } catch (error) {
    await rm(part, { force: true }).catch(() => {});
    throw error;
  }
}

/** Renames a file, but never onto another one. */
async function renameNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    // A file system without links. The name is taken, and the file put in its place.
    await (await open(to, 'wx')).close();
    return rename(from, to);
  }
  await rm(from);
}
