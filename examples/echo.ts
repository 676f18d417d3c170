/**
 * A server that sends each message back to the client it came from, whatever its size.
 *
 *     npm run echo -- 11000
 */
import { createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { framed } from 'length-prefix';

// A message goes back while it comes in. Without `stream` each one is a Buffer, for a function in between to work on.
const options = { stream: true };

// Half-open: a client that has no more to send gets its last messages, too.
const server = createServer({ allowHalfOpen: true }, (socket) => {
  pipeline(framed(socket, options), framed(socket, options)).catch((error) => console.error(error.message));
});

const [port] = process.argv.slice(2);
server.listen(Number(port), '127.0.0.1', () => console.log('Listening on', JSON.stringify(server.address())));
