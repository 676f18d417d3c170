/**
 * What a client and a gateway say to each other. A client gives its name first, as number 0, and then numbered messages.
 * The gateway answers each with a number and no data: all up to this number are stored.
 */
import { type Codec, type FramedOptions, framed } from 'length-prefix';

export interface Message {
  /** Counts up by one within a client. */
  n: number;
  data: Uint8Array;
}

export const NOTHING = new Uint8Array();

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

const options = { lengthField: 'uint32be', ...limits, ...codec, frameTimeout: 10_000 } satisfies FramedOptions<
  false,
  Message,
  false,
  Message
>;

export const messagesOf = (stream: Parameters<typeof framed>[0]) => framed(stream, options);
