/**
 * A proxy: passes on the messages of each client to a server, and the server's messages to the client, whatever their size.
 *
 *     npm run proxy -- 12000 11000     the port, and that of the server
 */
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { framed } from 'length-prefix';

const [port, target] = process.argv.slice(2);
// A message is passed on while it comes in: none is ever held as a whole.
const options = { stream: true };

// Half-open: a client that has no more to send gets what the server still answers.
const proxy = createServer({ allowHalfOpen: true }, (socket) => {
  const client = framed(socket, options);
  const server = framed(connect({ port: Number(target), host: '127.0.0.1', allowHalfOpen: true }), options);
  pipeline(client, server, client).catch((error) => console.error(error.message));
});

proxy.listen(Number(port), '127.0.0.1', () => console.log('Listening on', JSON.stringify(proxy.address())));
