import { connect, createServer } from 'node:net';
import { framed } from 'length-prefix';

const server = createServer(async (socket) => {
  const messages = framed(socket);
  for await (const message of messages) messages.write(`You said ${message}`);
}).listen(0, () => {
  const client = framed(connect(server.address().port));
  client.end('hello');
  client.on('data', (message) => console.log(`${message}`)).on('end', () => server.close());
});
