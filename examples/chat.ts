/**
 * A chat: the server passes on what each member says to all others.
 *
 *     npm run chat -- 11000
 *     npm run chat -- 11000 Ann     a member: says each line of its standard input
 */
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { type Codec, type Framed, framed, json } from 'length-prefix';

interface Chat {
  from: string;
  text: string;
}

/** JSON, checked: an exception ends the connection that the message came from. */
const chat: Codec<Chat> = {
  encode: json.encode,
  decode(bytes, start, end) {
    const { from, text } = json.decode(bytes, start, end);
    if (typeof from !== 'string' || typeof text !== 'string') throw new TypeError('not a message of the chat');
    return { from, text };
  },
};

function serve(port: number): void {
  const members = new Set<Framed<Chat>>();
  const server = createServer(async (socket) => {
    const member = framed(socket, { ...chat, maxPayloadLength: 10_000 });
    members.add(member);
    try {
      for await (const said of member) {
        for (const other of members) {
          // A member that reads slowly misses messages, and keeps nobody waiting.
          if (other !== member && other.writable && !other.writableNeedDrain) other.write(said);
        }
      }
      await finished(member);
    } catch (error) {
      console.error(`A member was lost: ${(error as Error).message}`);
    } finally {
      members.delete(member);
    }
  });
  server.listen(port, '127.0.0.1', () => console.log('Listening on', JSON.stringify(server.address())));
}

async function join(port: number, name: string): Promise<void> {
  const messages = framed(connect(port, '127.0.0.1'), chat);
  const lines = createInterface(process.stdin);
  lines.on('line', (text) => messages.write({ from: name, text })).on('close', () => messages.end());
  for await (const { from, text } of messages) console.log(`${from}: ${text}`);
  lines.close();
}

const [port, name] = process.argv.slice(2);
if (name === undefined) serve(Number(port));
else await join(Number(port), name);
