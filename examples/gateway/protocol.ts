/**
 * The messages between a client and a gateway. A client says hello first, as message 0, and then sends numbered messages.
 * The gateway answers each with a number: all up to this number are stored. An answer with data is the last one: the client
 * is refused, and the data says why.
 *
 * An empty message 0 asks whether the other side is there. HAProxy does so: haproxy.cfg has it in hex.
 */
import { inspect } from 'node:util';
import { type Codec, type FramedOptions, framed } from 'length-prefix';

export interface Message {
  /** Counts up by one within a client. */
  n: number;
  data: Uint8Array;
}

export const NOTHING = new Uint8Array();

/** The client has done something wrong, or another one has its name now. It must not come again. */
export class Refusal extends Error {}

export interface Hello {
  name: string;
  /** Chosen anew whenever a client is started. */
  run: string;
  /** The number of the last message that this run was told is stored; undefined at first. */
  told: number | undefined;
}

export const helloOf = ({ name, run, told }: Hello) => Buffer.from([name, run, told ?? []].flat().join(':'));

/** The name becomes part of a subject, where dots, stars and spaces have a meaning. */
export function checkedHello(data: Uint8Array): Hello {
  const text = Buffer.from(data).toString('latin1');
  const [, name, run, told] = /^([\w-]{1,64}):([\w-]{1,64})(?::(\d{1,15}))?$/.exec(text) ?? [];
  if (name !== undefined) return { name, run: run!, told: told === undefined ? undefined : Number(told) };
  throw new Refusal(
    `A name is 1 to 64 letters, digits, - and _, and so is a run. Received ${inspect(text.slice(0, 99))}`,
  );
}

const NUMBER_WIDTH = 6;
const codec: Codec<Message> = {
  encode({ n, data }) {
    const head = Buffer.allocUnsafe(NUMBER_WIDTH);
    head.writeUIntBE(n, 0, NUMBER_WIDTH);
    return data.length === 0 ? head : [head, data];
  },
  decode(bytes, start, end) {
    if (end - start < NUMBER_WIDTH) throw new Error(`A message of ${end - start} bytes has no number`);
    return { n: bytes.readUIntBE(start, NUMBER_WIDTH), data: bytes.subarray(start + NUMBER_WIDTH, end) };
  },
};

/** The messages that wait in a gateway for the broker: so many, of at most so many bytes, for each connection. */
const limits = { readableHighWaterMark: 16, maxPayloadLength: 16_384 };
export const MOST_DATA = limits.maxPayloadLength - NUMBER_WIDTH;

const options = { lengthField: 'uint32be', ...limits, ...codec, frameTimeout: 10_000 } satisfies FramedOptions<
  false,
  Message,
  false,
  Message
>;

export const messagesOf = (stream: Parameters<typeof framed>[0]) => framed(stream, options);
