import * as web from '../../lib/web/index.js';

// This file is never run: it does not compile when the types are wrong.

/** Bytes that the platform takes as they are. */
export async function toPlatform(
  body: ReadableStream<Uint8Array>,
  socket: WebSocket,
  port: MessagePort,
): Promise<void> {
  const frame = web.encode('a');
  new Response(frame);
  new Blob([frame]);
  socket.send(frame);
  await crypto.subtle.digest('SHA-256', frame);
  for (const message of web.decode(frame, { copy: true })) port.postMessage(message, [message.buffer]);
  for await (const message of body.pipeThrough(new web.LengthPrefixDecoderStream({ copy: true }))) {
    port.postMessage(message, [message.buffer]);
    socket.send(message);
    await crypto.subtle.digest('SHA-256', message);
    new Blob([message]);
  }
  for await (const { body: one } of body.pipeThrough(new web.LengthPrefixDecoderStream({ stream: true }))) {
    new Response(one);
    for await (const part of one) socket.send(part);
  }
  new Response(new web.LengthPrefixEncoderStream().readable);
}
