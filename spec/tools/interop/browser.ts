import { Process } from '../../support/programs.js';

/** A headless Chromium that keeps all it has in a folder. */
export class Browser extends Process {
  constructor(folder: string, ...args: string[]) {
    // `--no-sandbox`: it does not start as root otherwise.
    const usual = ['--headless=new', '--no-sandbox', '--no-first-run', '--disable-gpu', `--user-data-dir=${folder}`];
    super('chromium', [...usual, ...args], { env: { HOME: folder, TMPDIR: folder } });
  }

  /** What comes first, the answer or the browser's end, which is an error then. */
  async before<T>(answer: Promise<T>): Promise<T> {
    const died = this.ended.then((code) => {
      throw new Error(`Chromium ended with ${code}`);
    });
    return await Promise.race([answer, died]);
  }

  /** Ends it, and with it the processes that it has started. */
  async quit(): Promise<void> {
    this.signal('SIGTERM');
    await this.ended;
  }
}
