import type { ChildProcess } from 'node:child_process';
import { Duplex } from 'node:stream';
import type { Framed } from '../../../lib/index.js';

/** A program's standard output and input, as one stream. */
export function stdioOf({ stdout, stdin }: ChildProcess): Duplex {
  return Duplex.from({ readable: stdout, writable: stdin } as any);
}

/** A client of JSON-RPC 2.0, as language servers are talked to. */
export class JsonRpc {
  readonly messages: Framed<any>;
  #lastId = 0;

  constructor(messages: Framed<any>) {
    this.messages = messages;
  }

  notify(method: string, params: unknown): void {
    this.messages.write({ jsonrpc: '2.0', method, params });
  }

  /** The result of a request. */
  async request(method: string, params: unknown): Promise<any> {
    const id = ++this.#lastId;
    this.messages.write({ jsonrpc: '2.0', id, method, params });
    const { error, result } = await this.read((message) => message.id === id && message.method === undefined);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** The next message that is wanted. Those before it are left out. */
  async read(isWanted: (message: any) => boolean): Promise<any> {
    for await (const message of this.messages.iterator({ destroyOnReturn: false })) {
      if (isWanted(message)) return message;
    }
    throw new Error('the server has ended');
  }
}
