import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { expect } from 'chai';
import { commands, optionsOf } from '../../lib/cli/commands.js';
import { formats } from '../../lib/index.js';
import { cleanUp, connectTo, Process, sized, temporaryDirectory } from '../support/programs.js';
import { runtime } from '../support/runtime.js';
import { Command, main, startListen } from './command.js';

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;

/** The command in a terminal of its own, which util-linux's `script` makes. */
class Terminal extends Process {
  constructor(args: string[], env: NodeJS.ProcessEnv = {}) {
    const words = [process.execPath, main, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    // With TERM=dumb, a machine of a build may have no colours.
    const terminal = {
      TERM: 'xterm-256color',
      COLORTERM: '',
      NO_COLOR: undefined,
      FORCE_COLOR: undefined,
      CI: undefined,
    };
    // Without `exec`, a shell may stay in between, and end by a Ctrl+C that the command survives.
    super('script', ['-qec', `exec ${words.join(' ')}`, '/dev/null'], { env: { ...terminal, ...env }, group: true });
  }

  type(text: string): void {
    this.child.stdin!.write(text);
  }
}

describe('the command in a terminal', () => {
  afterEach(cleanUp);
  before(function () {
    if (process.platform !== 'linux' || runtime !== 'node' || !has('script')) this.skip();
  });

  const fileOf = (bytes: Uint8Array | string) => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, bytes);
    return file;
  };

  it('has colours, unless NO_COLOR or a dumb terminal forbids it; nothing else is sent to it', async () => {
    const file = fileOf(sized('a\x1b[31m\x7f\x9b'));
    const shown = async (env?: NodeJS.ProcessEnv) => {
      const terminal = new Terminal(['decode', file], env);
      expect(await terminal.ended).to.equal(0);
      return terminal.lines.join('\n');
    };
    const coloured = await shown();
    expect(coloured).to.include('\x1b[2m').and.include('\x1b[1m');
    const plain = stripVTControlCharacters(coloured);
    expect(plain).to.match(/^ +0 - +9 61 1b 5b 33 31 6d 7f c2 9b +a\.\[31m\.\.\.$/);
    expect(await shown({ NO_COLOR: '1' })).to.equal(plain);
    expect(await shown({ TERM: 'dumb' })).to.equal(plain);
    expect(await new Command(['decode', file]).output()).to.deep.equal([plain]);
    const text = new Terminal(['decode', file, '--text']);
    await text.ended;
    expect(text.lines).to.deep.equal(['a\\x1b[31m\\x7f\\x9b']);
  });

  it('does not get bytes as they are', async () => {
    const file = fileOf(sized('x'));
    for (const args of [
      ['decode', file, '--raw'],
      ['encode', file],
    ]) {
      const terminal = new Terminal(args);
      expect(await terminal.ended).to.equal(2);
      expect(terminal.lines).to.have.lengthOf(1);
      expect(terminal.lines[0]).to.match(/^length-prefix: .* a terminal would obey: use a pipe, or --output FILE/);
    }
    const nothing = new Terminal(['decode']);
    expect(await nothing.ended).to.equal(2);
    expect(nothing.lines[0]).to.match(/^length-prefix: There is nothing to decode: give a FILE, or a pipe /);
  });

  it('shows the progress of a large file', async () => {
    const { port } = await startListen();
    const terminal = new Terminal(['connect', String(port), fileOf(Buffer.alloc(3_000_000))]);
    expect(await terminal.ended).to.equal(0);
    expect(terminal.lines.join('\r')).to.match(/ 0 %\r.*100 %\r.*Sent .*: 3000000 bytes/s);
  });

  it('can be typed in, and Ctrl+C ends it in good order', async () => {
    const { server, port } = await startListen(['--echo', '--text']);
    const terminal = new Terminal(['connect', String(port), '--text']);
    terminal.type('hello\n');
    await server.line('hello');
    // What was typed, and the answer.
    await terminal.line(/^hello\r?$/, 2);
    terminal.type('\x03');
    expect(await terminal.ended).to.equal(130);
    server.signal('SIGTERM');
    await server.succeeds();
  });

  it('Ctrl+C ends a listener, which says what it waits for', async () => {
    const terminal = new Terminal(['listen', '--port', '0']);
    const port = Number(/:(\d+)\r?$/.exec(await terminal.line(/^Listening on /))![1]);
    const socket = await connectTo(port);
    socket.write(Buffer.concat([sized('whole'), sized('half').subarray(0, 5)]));
    await terminal.line(/77 68 6f 6c 65/);
    terminal.type('\x03');
    await terminal.line(/Stopping after the messages under way\. Connections: 1\. Ctrl\+C again stops at once/);
    socket.end(sized('half').subarray(5));
    expect(await terminal.ended).to.equal(0);
    expect(terminal.lines.join('\n')).to.match(/ 4 .*half/);
  });

  it('gets a summary of what a tap is too fast for', async () => {
    const { port: target } = await startListen();
    const terminal = new Terminal(['tap', String(target)]);
    const port = Number(/:(\d+)\r?$/.exec(await terminal.line(/^Listening on /))![1]);
    const socket = await connectTo(port);
    socket.end(Buffer.concat(Array<Buffer>(20_000).fill(sized('x'))));
    const line = await terminal.line(/more messages of \d+ bytes are not shown/);
    expect(line).to.match(/^\.\.\. \d+ more messages of \d+ bytes are not shown \(--output FILE keeps all\)\r?$/);
    expect(terminal.lines.length).to.be.below(5000);
  });
});

describe('the help of the command', () => {
  afterEach(cleanUp);

  for (const command of commands) {
    it(`${command.name} --help names its options, and has examples`, async () => {
      const lines = await new Command([command.name, '--help']).output();
      expect(await new Command(['help', command.name]).output()).to.deep.equal(lines);
      expect(lines[0]).to.match(new RegExp(`^Usage: length-prefix ${command.name} \\[OPTION...\\] `));
      for (const name of Object.keys(optionsOf(command)))
        expect(
          lines.some((line) => line.startsWith(`  --${name}`)),
          name,
        ).to.equal(true);
      expect(
        lines.filter((line) => line.length > 80 && !line.startsWith('  length-prefix') && !line.startsWith('  printf')),
      ).to.deep.equal([]);
      expect(lines).to.include('Examples:');
    });
  }

  it('lists the commands, and the exit codes', async () => {
    const lines = await new Command(['--help']).output();
    for (const { name } of commands)
      expect(
        lines.some((line) => line.startsWith(`  ${name} `)),
        name,
      ).to.equal(true);
    for (const code of ['0', '1', '2', '3', '130'])
      expect(
        lines.some((line) => line.startsWith(`  ${code} `)),
        code,
      ).to.equal(true);
    await new Command([]).fails(/^length-prefix: There is no command: --help lists them /, 2);
    await new Command(['decoed']).fails(/^length-prefix: The command must be one of listen, .*, not 'decoed'/, 2);
  });
});

describe('the completion of shells', () => {
  afterEach(cleanUp);

  /** What bash completes the last of these words to. */
  function completions(...words: string[]): string[] {
    const folder = temporaryDirectory();
    mkdirSync(join(folder, 'bin'));
    symlinkSync(main, join(folder, 'bin', 'length-prefix'));
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `source <("$0" "$1" completion bash); COMP_WORDS=(length-prefix ${list}); COMP_CWORD=${words.length}; _length_prefix; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, main], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stderr).to.equal('');
    return stdout.split('\n').filter((line) => line !== '');
  }

  it('bash: commands, options, and their values', function () {
    if (process.platform === 'win32' || runtime !== 'node' || !has('bash')) this.skip();
    expect(completions('d')).to.deep.equal(['decode']);
    expect(completions('')).to.include.members(commands.map(({ name }) => name));
    expect(completions('decode', '--js')).to.deep.equal(['--json']);
    expect(completions('tap', '--form')).to.deep.equal(['--format']);
    expect(completions('tap', '--format', 'post')).to.deep.equal(['postgres', 'postgresStartup']);
    expect(completions('listen', '--length-field', 'uint16')).to.deep.equal(['uint16le', 'uint16be']);
    expect(completions('encode', '--output', 'b')).to.deep.equal(['bin']);
    expect(completions('formats', 'mq')).to.deep.equal(['mqtt']);
    expect(completions('decode', '--bytes', '')).to.deep.equal([]);
  });

  it('zsh and fish have scripts as well; others are refused', async () => {
    const zsh = await new Command(['completion', 'zsh']).output();
    expect(zsh[0]).to.equal('#compdef length-prefix');
    const fish = (await new Command(['completion', 'fish']).output()).join('\n');
    for (const command of commands) {
      for (const name of Object.keys(optionsOf(command)))
        expect(fish).to.match(new RegExp(`from ${command.name}' -l ${name} `));
    }
    for (const name of Object.keys(formats)) expect(fish).to.include(name);
    await new Command(['completion', 'csh']).fails(/^length-prefix: The shell must be bash, zsh or fish, not 'csh'/, 2);
    await new Command(['completion', 'zsh', 'x']).fails(
      /^length-prefix: There is 1 shell at the most: 'x' is one too many /,
      2,
    );
    await new Command(['completion']).fails(/^length-prefix: There is no shell: give bash, zsh or fish /, 2);
  });
});
