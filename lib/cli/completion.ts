/** `length-prefix completion` */
import { formats } from 'length-prefix';
import { commands, optionsOf } from './commands.js';
import { UsageError } from './errors.js';
import { type Option, refuseMore, type Values } from './options.js';
import { print } from './output.js';

const NAME = 'length-prefix';
const all = Object.keys(formats);

/** The values of an option: words, files, or nothing that is known. */
function valuesOf(name: string, { choices, value }: Option): readonly string[] | 'files' | undefined {
  if (name === 'format') return all;
  return choices ?? (value === 'FILE' || value === 'DIR' ? 'files' : undefined);
}

function flagsOf(options: Readonly<Record<string, Option>>): string {
  return Object.entries(options)
    .flatMap(([name, { short }]) => (short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`]))
    .join(' ');
}

/** Of all commands: an option means the same wherever it is. */
const options: Readonly<Record<string, Option>> = Object.assign({}, ...commands.map(optionsOf));

function bash(): string {
  const values = Object.entries(options).flatMap(([name, option]) => {
    const found = valuesOf(name, option);
    if (option.type === 'boolean') return [];
    const reply = found === 'files' ? 'compgen -f -- "$word"' : `compgen -W "${found?.join(' ') ?? ''}" -- "$word"`;
    const flags = option.short === undefined ? `--${name}` : `--${name}|-${option.short}`;
    return [`    ${flags}) COMPREPLY=($(${reply})); return ;;`];
  });
  const words = commands.map((command) => {
    const more =
      command.name === 'formats' ? ` ${all.join(' ')}` : command.name === 'completion' ? ' bash zsh fish' : '';
    return `    ${command.name}) words="${flagsOf(optionsOf(command))}${more}" ;;`;
  });
  return `_length_prefix() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} --help --version" -- "$word"))
    return
  fi
  case $before in
${values.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${words.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case $word in -*) ;; *) COMPREPLY+=($(compgen -f -- "$word")) ;; esac
}
complete -o filenames -F _length_prefix ${NAME}`;
}

function zsh(): string {
  return `#compdef ${NAME}\nautoload -U +X bashcompinit && bashcompinit\n${bash()}`;
}

function fish(): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = [
    `complete -c ${NAME} -f -n __fish_use_subcommand -a ${quoted(commands.map(({ name }) => name).join(' '))}`,
  ];
  for (const command of commands) {
    const when = `-n ${quoted(`__fish_seen_subcommand_from ${command.name}`)}`;
    for (const [name, option] of Object.entries(optionsOf(command))) {
      const found = valuesOf(name, option);
      const short = option.short === undefined ? '' : ` -s ${option.short}`;
      const takes =
        option.type === 'boolean'
          ? ''
          : found === 'files'
            ? ' -r -F'
            : ` -x${found ? ` -a ${quoted(found.join(' '))}` : ''}`;
      lines.push(`complete -c ${NAME} ${when} -l ${name}${short}${takes} -d ${quoted(option.text)}`);
    }
    if (['connect', 'decode', 'encode'].includes(command.name)) lines.push(`complete -c ${NAME} ${when} -F`);
    if (command.name === 'formats') lines.push(`complete -c ${NAME} ${when} -a ${quoted(all.join(' '))}`);
  }
  return lines.join('\n');
}

const shells: Readonly<Record<string, () => string>> = { bash, zsh, fish };

export async function run(_: Values, [shell, other]: readonly string[]): Promise<number> {
  if (shell === undefined) throw new UsageError('There is no shell: give bash, zsh or fish');
  refuseMore('shell', other);
  if (!Object.hasOwn(shells, shell)) throw new UsageError(`The shell must be bash, zsh or fish, not '${shell}'`);
  return print(shells[shell]!());
}
