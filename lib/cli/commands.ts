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

const formatGroup = { 'The wire format, the same at both ends': formatOptions };
const receiving = { 'What is printed': { ...outputOptions, ...wholeOption, ...helpOption } };
const ADDRESSES =
  'An address is HOST:PORT, [IPV6]:PORT, a PORT of this machine, unix:PATH, or stdio:, the standard input and output.';

export const commands: readonly Command[] = [
  {
    name: 'listen',
    usage: '[ADDRESS]',
    summary: 'receives messages from any number of clients, and prints them',
    text: `Ctrl+C or SIGTERM ends it as soon as it has the messages that are under way, a second one at once. ${ADDRESSES}`,
    groups: {
      'Where and what': {
        host: { type: 'string', value: 'HOST', text: 'the address to listen at (127.0.0.1)' },
        port: { type: 'string', value: 'PORT', text: 'the port; 0 is any that is free (11000)' },
        save: {
          type: 'string',
          value: 'DIR',
          text: 'keeps each message as a new file in this directory; one that is not whole ends in .part',
        },
        echo: { type: 'boolean', text: 'sends each message back' },
        exec: { type: 'string', value: 'CMD', text: 'answers each message with what this shell command makes of it' },
        ...timeoutOption,
        ...tlsOptions,
      },
      ...receiving,
      ...formatGroup,
    },
    examples: [
      ['length-prefix listen --save messages', 'keeps what comes to port 11000'],
      ["length-prefix listen --port 0 --exec 'tr a-z A-Z'", 'answers in capitals'],
      ['length-prefix listen unix:/tmp/agent --format sshAgent', 'at a Unix socket'],
    ],
  },
  {
    name: 'connect',
    usage: 'ADDRESS [FILE...]',
    summary: 'sends files, or the standard input, and prints what comes back',
    text: `Each FILE is one message; - is all of the standard input. Without a FILE, each line of the standard input is a message. Files are sent while they are read. ${ADDRESSES}`,
    groups: {
      'Where and what': { ...inputOption, ...connectOptions, ...timeoutOption, ...tlsClientOptions },
      ...receiving,
      ...formatGroup,
    },
    examples: [
      ['length-prefix connect 127.0.0.1:11000 picture.png notes.txt', 'sends two files'],
      ['length-prefix connect 127.0.0.1:11000 --text', 'sends lines as they are typed, and shows the answers'],
      [
        'length-prefix connect example.com:853 --tls --format dns --input hex --count 1',
        'asks, and waits for one answer',
      ],
    ],
  },
  {
    name: 'tap',
    usage: '--listen ADDRESS SERVER',
    summary: 'stands between clients and a server, and prints each message that crosses',
    text: 'All bytes are passed on as they are. A line has: milliseconds, the connection, -> from the client or <- from the server, the place in the stream, the first byte where it is in front of the length, the length of all, the first bytes. A terminal, and a pager that is stopped, is not waited for: it gets a summary of what was too much for it.',
    groups: {
      'Where and what': {
        listen: { type: 'string', value: 'ADDRESS', text: 'where clients connect; 0 is any port that is free (0)' },
        pcap: { type: 'string', value: 'FILE', text: 'writes all bytes as a capture that Wireshark opens' },
        ...connectOptions,
        ...tlsClientOptions,
      },
      'What is printed': { ...outputOptions, ...helpOption },
      ...formatGroup,
    },
    examples: [
      ['length-prefix tap --listen 15432 127.0.0.1:5432 --format postgres', 'shows what psql and its server say'],
      [
        'length-prefix tap --listen 11883 127.0.0.1:1883 --format mqtt --json --output seen.ndjson',
        'keeps it, for decode to read',
      ],
    ],
  },
  {
    name: 'decode',
    usage: '[FILE]',
    summary: 'shows the frames of a file, a pipe, or a capture, one a line',
    text: 'Without a FILE, the standard input is read. Output of --json, and a pcap file, is shown as tap does: pcapng is not read. Bytes that are no frame are drawn, beside what the format expects.',
    groups: { ...receiving, ...formatGroup },
    examples: [
      ['length-prefix decode dump.bin --format protobuf', 'lists the messages of a file'],
      ['length-prefix decode seen.ndjson', 'lists what --json --output seen.ndjson has kept'],
      ['length-prefix decode dump.bin --raw --count 1 > first', 'takes out the first message'],
    ],
  },
  {
    name: 'encode',
    usage: '[FILE...]',
    summary: 'puts lines, NDJSON or files into frames',
    text: 'Each FILE is one message; - is all of the standard input. Without a FILE, each line of the standard input is one. Where messages keep their head (--initial-bytes-to-strip 0), the length is written over its place in them: leave zeros there.',
    groups: {
      'What is read and written': {
        ...inputOption,
        output: outputOptions.output!,
        ...helpOption,
      },
      ...formatGroup,
    },
    instead: { hex: '--input hex', json: '--input ndjson', text: '--input lines', raw: '--input whole' },
    examples: [
      ['length-prefix encode a.json b.json > frames', 'two files, two frames'],
      ['printf 00ff | length-prefix encode --input hex --format netstring | od -c', 'bytes in hex'],
    ],
  },
  {
    name: 'formats',
    usage: '[NAME...]',
    summary: 'lists the catalogue of wire formats, each with a drawing',
    text: 'Without a NAME, all are shown.',
    groups: {
      'What is printed': {
        json: { type: 'boolean', text: 'one JSON object a line: the options of the library' },
        ...helpOption,
      },
    },
    examples: [['length-prefix formats kafka mqtt', 'shows two']],
  },
  {
    name: 'completion',
    usage: 'bash|zsh|fish',
    summary: 'writes a script that makes a shell complete commands and options',
    text: '',
    groups: { 'What is printed': helpOption },
    examples: [['source <(length-prefix completion bash)', 'for this shell']],
  },
];

/** All options of a command. */
export function optionsOf({ groups }: Command): Options {
  return Object.assign({}, ...Object.values(groups));
}
