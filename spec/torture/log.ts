import { expect } from 'chai';
import type { Duplex } from 'readable-stream';
import { settle } from '../support/frames.js';

export type NodeError = Error & { code?: string };

/** Everything a stream does, in order. */
export class Log {
  readonly entries: string[] = [];
  readonly messages: string[] = [];
  readonly errors: NodeError[] = [];
  readonly #pending: number[] = [];

  constructor(stream: Duplex) {
    const emit = stream.emit;
    stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      if (event === 'data') {
        this.messages.push(String(args[0]));
        this.entries.push(`data ${args[0]}`);
      }
      if (event === 'error') {
        this.errors.push(args[0] as NodeError);
        this.entries.push('error');
      }
      if (['end', 'finish', 'close', 'drain', 'readable'].includes(String(event))) this.entries.push(String(event));
      return emit.call(stream, event as string, ...args);
    };
    stream.on('error', () => {});
  }

  /** A callback that has to be called exactly once. */
  callback(name: string): (error?: Error | null) => void {
    const number = this.#pending.push(0) - 1;
    return (error) => {
      this.#pending[number]!++;
      this.entries.push(`callback ${name}${error ? ` ${(error as NodeError).code ?? error.message}` : ''}`);
    };
  }

  /** Calls of each callback, in the order in which they were made. */
  get calls(): number[] {
    return this.#pending;
  }

  count(entry: string): number {
    return this.entries.filter((each) => each === entry).length;
  }

  settle(): Promise<void> {
    return settle(() => this.entries.length);
  }

  /** After a teardown. */
  expectClosed(): void {
    expect(this.count('close'), 'close').to.equal(1);
    expect(this.entries.slice(this.entries.indexOf('close') + 1), 'after close').to.deep.equal([]);
    expect(this.count('error'), 'errors').to.be.at.most(1);
    expect(this.calls, 'callbacks').to.deep.equal(this.calls.map(() => 1));
  }
}
