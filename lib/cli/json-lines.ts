/** Messages and events as JSON, one a line. */
import { isUtf8 } from 'node:buffer';
import { safeJson } from './text.js';

/** Where something happened. */
export interface Place {
  readonly connection?: number | undefined;
  /** From the client to the server, or back. */
  readonly direction?: '->' | '<-' | undefined;
}

let lastTime = 0;
let lastText = '';

/** The time, as JSON has it. */
function now(): string {
  const time = Date.now();
  if (time !== lastTime) {
    lastTime = time;
    lastText = new Date(time).toISOString();
  }
  return lastText;
}

export function jsonOf(fields: object): string {
  return `${safeJson({ time: now(), ...fields })}\n`;
}

export class JsonLines {
  readonly #asText: boolean;

  constructor(asText: boolean) {
    this.#asText = asText;
  }

  /** `{"time":"…","event":"message","connection":1,"direction":"->","position":0,"type":81,"length":14,"hex":"51…"}` */
  message({ connection, direction }: Place, position: number, type: number | undefined, length: number, bytes: Buffer) {
    const place = connection === undefined ? '' : `,"connection":${connection},"direction":"${direction}"`;
    const kind = type === undefined ? '' : `,"type":${type}`;
    const content =
      this.#asText && isUtf8(bytes) ? `"text":${safeJson(bytes.toString())}` : `"hex":"${bytes.toString('hex')}"`;
    const cut = bytes.length < length ? ',"truncated":true' : '';
    return `{"time":"${now()}","event":"message"${place},"position":${position}${kind},"length":${length},${content}${cut}}\n`;
  }
}
