/** The commands: their arguments, and their texts. Each runs in a module of its own, which is loaded late. */
import {
  connectOptions,
  formatOptions,
  helpOption,
  inputOption,
  type Options,
  outputOptions,
  timeoutOption,
  tlsClientOptions,
  tlsOptions,
  wholeOption,
} from './options.js';

export interface Command {
  readonly name: string;
  /** The arguments. */
  readonly usage: string;
  /** In one line. */
  readonly summary: string;
  /** In some more. */
  readonly text: string;
  readonly groups: Readonly<Record<string, Options>>;
  /** Its own options, for some of other commands that it has not. */
  readonly instead?: Readonly<Record<string, string>>;
  readonly examples: readonly (readonly [call: string, text: string])[];
}

const formatGroup = { 'Wire format, the same at both ends': formatOptions };
const receiving = { Output: { ...outputOptions, ...wholeOption, ...helpOption } };
const FORMS = 'An address is HOST:PORT, [IPV6]:PORT, a PORT of this machine';
const ADDRESSES = `${FORMS}, unix:PATH, or stdio: for the standard input and output.`;

export const commands: readonly Command[] = [
  {
    name: 'listen',
    usage: '[ADDRESS]',
    summary: 'receives messages from any number of clients, and prints them',
    text: `Ctrl+C or SIGTERM ends it when the messages under way have arrived; a second one ends it at once. ${ADDRESSES}`,
    groups: {
      Connection: {
        host: { type: 'string', value: 'HOST', text: 'the address to listen at (127.0.0.1)' },
        port: { type: 'string', value: 'PORT', text: 'the port; 0 is any that is free (11000)' },
        save: {
          type: 'string',
          value: 'DIR',
          text: 'saves each message as a new file in this directory; the name of an incomplete one ends in .part',
        },
        echo: { type: 'boolean', text: 'sends each message back' },
        exec: {
          type: 'string',
          value: 'CMD',
          text: 'runs this shell command with each message as its input, and sends back its output',
        },
        ...timeoutOption,
        ...tlsOptions,
      },
      ...receiving,
      ...formatGroup,
    },
    examples: [
      ['length-prefix listen --save messages', 'saves the messages that come to port 11000'],
      ["length-prefix listen --port 0 --exec 'tr a-z A-Z'", 'answers each message in capitals'],
      ['length-prefix listen unix:/tmp/agent --format sshAgent', 'listens at a Unix socket'],
    ],
  },
  {
    name: 'connect',
    usage: 'ADDRESS [FILE...]',
    summary: 'sends files, or the standard input, and prints what comes back',
    text: `Each FILE is one message; - is all of the standard input. Without a FILE, each line of the standard input is a message. Files are sent while they are read. ${ADDRESSES}`,
    groups: {
      Connection: { ...inputOption, ...connectOptions, ...timeoutOption, ...tlsClientOptions },
      ...receiving,
      ...formatGroup,
    },
    examples: [
      ['length-prefix connect 127.0.0.1:11000 picture.png notes.txt', 'sends two files'],
      ['length-prefix connect 127.0.0.1:11000 --text', 'sends lines as they are typed, and shows the answers'],
      [
        'length-prefix connect example.com:853 --tls --format dns --input hex --count 1',
        'sends a question in hex to a DNS server, and waits for one answer',
      ],
    ],
  },
  {
    name: 'tap',
    usage: 'SERVER',
    summary: 'stands between clients and a server, and prints each message that crosses',
    text: `SERVER is the address of the server. ${FORMS}, or unix:PATH. All bytes are passed on as they are. The line of a message has the milliseconds since the start, the connection, -> from the client or <- from the server, the position in the stream, the first byte if it is in front of the length, the length of the frame, and its first bytes. A terminal that is too slow, or a pager that has stopped, does not slow the connections down: messages are left out, and counted.`,
    groups: {
      Connection: {
        listen: {
          type: 'string',
          value: 'ADDRESS',
          text: 'the address that clients connect to; 0 is any port that is free (0)',
        },
        pcap: { type: 'string', value: 'FILE', text: 'writes all bytes as a capture that Wireshark opens' },
        ...connectOptions,
        wait: { ...connectOptions.wait!, text: 'the longest time to connect to the server' },
        ...tlsClientOptions,
        tls: { ...tlsClientOptions.tls!, text: 'uses TLS with the server' },
      },
      Output: { ...outputOptions, ...helpOption },
      ...formatGroup,
    },
    examples: [
      [
        'length-prefix tap --listen 15432 127.0.0.1:5432 --format postgres',
        'shows the messages of psql and its server',
      ],
      [
        'length-prefix tap --listen 11883 127.0.0.1:1883 --format mqtt --json --output seen.ndjson',
        'saves all messages, for length-prefix decode',
      ],
    ],
  },
  {
    name: 'decode',
    usage: '[FILE]',
    summary: 'shows the frames of a file, a pipe, or a capture, one a line',
    text: 'Without a FILE, the standard input is read. The output of --json, and pcap files (not pcapng), are shown as tap shows messages. Bytes that are not in the format are drawn beside the frame that it expects. A message that the input ends in is marked as incomplete.',
    groups: { ...receiving, ...formatGroup },
    examples: [
      ['length-prefix decode dump.bin --format protobuf', 'lists the messages of a file'],
      ['length-prefix decode seen.ndjson', 'lists the messages that tap --json --output seen.ndjson has saved'],
      ['length-prefix decode dump.bin --raw --count 1 > first', 'writes the first message to a file'],
    ],
  },
  {
    name: 'encode',
    usage: '[FILE...]',
    summary: 'puts lines, NDJSON or files into frames',
    text: 'Each FILE is one message; - is all of the standard input. Without a FILE, each line of the standard input is one. Where messages keep their head (--initial-bytes-to-strip 0), the length is written over its place in them: leave zeros there.',
    groups: {
      'Input and output': {
        ...inputOption,
        output: outputOptions.output!,
        ...helpOption,
      },
      ...formatGroup,
    },
    instead: { hex: '--input hex', json: '--input ndjson', text: '--input lines', raw: '--input whole' },
    examples: [
      ['length-prefix encode a.json b.json > frames', 'makes two frames of two files'],
      ['printf 00ff | length-prefix encode --input hex --format netstring | od -c', 'makes a frame of bytes in hex'],
    ],
  },
  {
    name: 'formats',
    usage: '[NAME...]',
    summary: 'lists the catalogue of wire formats, each with a drawing',
    text: 'Without a NAME, all are shown.',
    groups: {
      Output: {
        json: { type: 'boolean', text: 'one JSON object a line: the options of the library' },
        ...helpOption,
      },
    },
    examples: [['length-prefix formats kafka mqtt', 'shows two formats']],
  },
  {
    name: 'completion',
    usage: 'bash|zsh|fish',
    summary: 'writes a script that makes a shell complete commands and options',
    text: '',
    groups: { Output: helpOption },
    examples: [['source <(length-prefix completion bash)', 'completes commands in this shell']],
  },
];

/** All options of a command. */
export function optionsOf({ groups }: Command): Options {
  return Object.assign({}, ...Object.values(groups));
}
