import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A headless Chromium with a profile of its own. */
export class Browser {
  /** Its profile. */
  readonly folder = mkdtempSync(join(tmpdir(), 'length-prefix-chromium-'));
  #process: ChildProcess | undefined;
  #said = '';

  /** Opens a page. Fails when the browser ends before {@link close}. */
  open(url: string, ...options: string[]): Promise<never> {
    const usual = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
    this.#process = spawn('chromium', [...usual, `--user-data-dir=${this.folder}`, ...options, url], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Its processes are a group, to be ended together.
      detached: true,
    });
    this.#process.stderr!.on('data', (text) => {
      this.#said = (this.#said + text).slice(-4000);
    });
    return once(this.#process, 'exit').then(([code]) => {
      throw new Error(`chromium ended with ${code}, and said:\n${this.#said}`);
    });
  }

  async close(): Promise<void> {
    const child = this.#process;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      process.kill(-child.pid, 'SIGKILL');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}
