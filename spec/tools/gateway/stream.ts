import { expect } from 'chai';
import { Broker, STREAM } from '../../../examples/gateway/broker.js';

export interface Stored {
  id: string;
  text: string;
}

/** All messages of the stream, in its order. */
export async function readStream(nats: string): Promise<Stored[]> {
  const { connection, manager, jetstream } = await Broker.connect(nats);
  const { state } = await manager.streams.info(STREAM);
  const messages: Stored[] = [];
  if (state.messages > 0) {
    const consumer = await jetstream.consumers.get(STREAM);
    for await (const message of await consumer.consume()) {
      messages.push({ id: message.headers?.get('Nats-Msg-Id') ?? '', text: message.string() });
      if (message.seq === state.last_seq) break;
    }
  }
  await connection.close();
  expect(messages).to.have.lengthOf(state.messages);
  return messages;
}
