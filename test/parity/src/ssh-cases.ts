/**
 * What OpenSSH's clients are told to do, both ways: commands, shells, terminals, files. Each must end the same whenever it
 * runs: nothing here names a port, a process, a terminal or a moment.
 */

export interface SshCase {
  name: string
  program: 'ssh' | 'sftp' | 'scp'
  /** Of ssh: options before the host. */
  options?: readonly string[]
  /** Of ssh: the command line, none for a shell. Of scp: words, in which HOST: stands for the target. */
  words: readonly string[]
  input?: string | Buffer
  /** For a connection of its own, not a channel of one that is there. */
  isAlone?: boolean
}

const exec = (
  name: string,
  command: string,
  input?: string | Buffer,
  more: Partial<SshCase> = {},
): SshCase => ({
  name,
  program: 'ssh',
  words: [command],
  ...(input !== undefined && { input }),
  ...more,
})

const sftp = (name: string, ...batch: string[]): SshCase => ({
  name,
  program: 'sftp',
  words: [],
  input: `${batch.join('\n')}\n`,
})

/** Every byte there is, and much of it. */
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
const MUCH = Buffer.concat(Array.from({ length: 8192 }, () => BYTES))

export const SSH_CASES: readonly SshCase[] = [
  // ── commands ──
  exec('words on stdout', 'echo hello'),
  exec('words on stderr', 'echo hello >&2'),
  exec('both, and a status', 'echo out; echo err >&2; exit 7'),
  exec('nothing at all', 'true'),
  exec('failing with nothing', 'false'),
  ...[1, 2, 42, 126, 127, 128, 200, 254, 255].map((status) =>
    exec(`exit status ${status}`, `exit ${status}`),
  ),
  exec('a program that is not there', '/no/such/program'),
  exec('a file that is no program', '/etc/passwd'),
  exec('ended by SIGTERM', 'kill -TERM $$; sleep 5'),
  exec('ended by SIGKILL', 'kill -KILL $$; sleep 5'),
  exec('ended by SIGSEGV', 'kill -SEGV $$; sleep 5'),
  exec('a line without its end', 'printf hello'),
  exec('an empty line', 'echo'),
  exec('spaces as they are', 'printf "  a  b  \\n\\n  c"'),
  exec(
    'every byte',
    `printf '${[...BYTES].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')}'`,
  ),
  exec('NUL bytes', 'head -c 1000 /dev/zero'),
  exec('UTF-8', 'echo "grüße, 世界 🐟"'),
  exec('bytes that are no UTF-8', "printf '\\377\\376\\303'"),
  exec('escape sequences', "printf '\\033[31mred\\033[0m\\033]0;title\\007\\n'"),
  exec('carriage returns', "printf 'a\\rb\\r\\nc\\n'"),
  exec('a line of a million characters', "head -c 1000000 /dev/zero | tr '\\0' x"),
  exec('many lines', 'seq 1 200000'),
  exec('much of anything', "head -c 20000000 /dev/zero | tr '\\0' '\\377'"),
  exec('much on stderr', 'seq 1 100000 >&2'),
  exec('much on both', 'seq 1 50000; seq 50000 -1 1 >&2'),
  exec('in small pieces', 'for i in $(seq 1 500); do printf "$i "; done'),
  exec('output that ends before the command', 'exec 1>&-; exit 3'),
  exec('all closed', 'exec 0<&- 1>&- 2>&-; exit 4'),
  exec('a child that outlives it', '(sleep 0.3; echo late) & echo now; exit 5'),
  // ── input ──
  exec('input comes back', 'cat', 'some words\nand more\n'),
  exec('no input', 'cat', ''),
  exec('every byte in and out', 'cat', BYTES),
  exec('much in and out', 'cat', MUCH),
  exec('much in, a digest out', 'sha256sum', MUCH),
  exec('input that is not read', 'echo done', MUCH),
  exec('input that is read in part', 'head -c 100', MUCH),
  exec('one line of it', 'read line; echo "got $line"', 'first\nsecond\n'),
  exec('a line without its end', 'read line; echo "got $line"', 'first'),
  exec('input that ends first', 'cat > /dev/null; echo after', 'x'),
  exec('a script as input', 'bash -s one two', 'echo "$1-$2"\nexit 9\n'),
  exec('an archive through', 'tar cf - -C /etc passwd group | tar tf -'),
  // ── the line itself ──
  exec('quotes', `echo 'single "double" inside' "double 'single' inside" \\"bare\\"`),
  exec('a pipe', 'printf "b\\na\\nc\\n" | sort'),
  exec('variables of its own', 'a=1; b=$((a+1)); echo $a $b'),
  exec('a here-document', 'cat <<END\nline one\n  line two\nEND'),
  exec('several lines', 'echo one\necho two\nexit 3'),
  exec('tabs and spaces', 'echo\t"a\tb"   c'),
  exec('a comment', 'echo a # and not b'),
  exec('a syntax error', 'if then'),
  exec('globbing', 'cd /etc && echo host*'),
  exec('substitution', 'echo "$(echo inner; echo inner2)"'),
  exec('UTF-8 in the line', 'echo ÄÖÜ | wc -c'),
  exec('a very long line', `echo ${'x'.repeat(30_000)} | wc -c`),
  exec('an environment', 'echo "$LANG-$TEST_ONE"', '', {
    options: ['-o', 'SetEnv=TEST_ONE=one LANG=C'],
    isAlone: true,
  }),
  exec('an environment that is not taken', 'echo "[$OTHER_ONE]"', '', {
    options: ['-o', 'SetEnv=OTHER_ONE=one'],
    isAlone: true,
  }),
  exec('words that ssh joins', 'echo', undefined, { words: ['echo', 'a   b', '"c   d"'] }),
  // ── shells and terminals ──
  {
    name: 'a shell without terminal',
    program: 'ssh',
    options: ['-T'],
    words: [],
    input: 'echo one\necho two >&2\nexit 6\n',
  },
  { name: 'a shell that is told nothing', program: 'ssh', options: ['-T'], words: [], input: '' },
  exec('a terminal', 'echo hello; echo err >&2; exit 8', '', { options: ['-tt'] }),
  exec('a terminal: what it is', 'tty | cut -c1-8; stty -a | tr ";" "\\n" | grep -c .', '', {
    options: ['-tt'],
  }),
  exec(
    'a terminal: input without echo',
    'stty -echo; echo ready; read a; echo "got $a"',
    'word\n',
    { options: ['-tt'] },
  ),
  exec('a terminal: many lines', 'seq 1 20000', '', { options: ['-tt'] }),
  exec(
    'a terminal: escape sequences',
    "printf '\\033[2J\\033[1;1Hhello\\033[?1049h\\033[?1049l'",
    '',
    { options: ['-tt'] },
  ),
  exec('a terminal: its name', 'echo $TERM', '', { options: ['-tt'] }),
  // ── connections of their own ──
  exec('alone: words', 'echo alone', undefined, { isAlone: true }),
  exec('alone: much in and out', 'cat', MUCH, { isAlone: true }),
  exec('alone: a status', 'exit 33', undefined, { isAlone: true }),
  exec('alone: ended by a signal', 'kill -INT $$; sleep 5', undefined, { isAlone: true }),
  exec('alone: no command', '', undefined, {
    isAlone: true,
    options: ['-T'],
    words: [],
    input: 'echo in; exit 2\n',
  }),
  exec('alone: compressed', 'seq 1 50000', undefined, { isAlone: true, options: ['-C'] }),
  exec('alone: keys exchanged anew all the time', 'head -c 3000000 /dev/zero', undefined, {
    isAlone: true,
    options: ['-o', 'RekeyLimit=256K'],
  }),
  // ── files ──
  sftp('sftp: where it is', 'cd THERE', 'pwd', 'lpwd'),
  sftp('sftp: a listing', 'ls THERE', 'ls -l THERE', 'ls -1 THERE/d', 'ls -ln THERE/a'),
  sftp(
    'sftp: what is not there',
    '-ls THERE/nothing',
    '-get THERE/nothing',
    '-cd THERE/nothing',
    '-rm THERE/nothing',
    '-rmdir THERE/nothing',
  ),
  sftp('sftp: what is not allowed', '-rmdir THERE/d', '-mkdir THERE/d', '-rename THERE/x THERE/y'),
  sftp('sftp: get', 'get THERE/a HERE/got', 'get -p THERE/a HERE/got2', '!sha256sum HERE/got'),
  sftp('sftp: get much', 'get THERE/big HERE/got', '!sha256sum HERE/got'),
  sftp(
    'sftp: get all',
    'get -R THERE HERE/all',
    '!cd HERE/all && find . -type f | sort | xargs sha256sum',
  ),
  sftp(
    'sftp: put',
    'put HERE/mine THERE/mine',
    'put -p HERE/mine THERE/mine2',
    '!sha256sum THERE/mine',
  ),
  sftp(
    'sftp: put all',
    'put -R HERE/tree THERE',
    '!cd THERE && find . -type f | sort | xargs sha256sum',
  ),
  sftp(
    'sftp: go on getting',
    '!head -c 1000 THERE/big > HERE/part',
    'reget THERE/big HERE/part',
    '!sha256sum HERE/part',
  ),
  sftp(
    'sftp: go on putting',
    '!head -c 1000 HERE/mine > THERE/part',
    'reput HERE/mine THERE/part',
    '!sha256sum THERE/part',
  ),
  sftp(
    'sftp: names',
    'rename THERE/a THERE/z',
    'rename -l THERE/z THERE/y',
    'ln THERE/y THERE/hard',
    'ln -s y THERE/soft',
    'ls -1 THERE',
    '!readlink THERE/soft',
    'rm THERE/y THERE/hard',
    'ls -1 THERE',
  ),
  sftp(
    'sftp: directories',
    'mkdir THERE/new',
    'cd THERE/new',
    'mkdir deeper',
    'cd deeper',
    'pwd',
    'cd ../..',
    'rmdir new/deeper',
    'rmdir new',
    'ls -1',
  ),
  sftp('sftp: modes', 'chmod 600 THERE/a', 'chmod 750 THERE/d', '!stat -c %a THERE/a THERE/d'),
  sftp(
    'sftp: names with anything in them',
    'put HERE/mine "THERE/a b c"',
    "put HERE/mine 'THERE/d\"e'",
    'put HERE/mine THERE/ü世',
    'ls -1 THERE',
    'get "THERE/a b c" HERE/back',
  ),
  sftp(
    'sftp: an empty file',
    'put HERE/empty THERE/empty',
    'get THERE/empty HERE/empty2',
    '!wc -c < HERE/empty2',
  ),
  sftp('sftp: its version', 'version'),
  { name: 'scp: there', program: 'scp', words: ['-q', 'HERE/mine', 'HOST:THERE/mine'] },
  { name: 'scp: back', program: 'scp', words: ['-q', 'HOST:THERE/big', 'HERE/got'] },
  { name: 'scp: all', program: 'scp', words: ['-q', '-r', 'HERE/tree', 'HOST:THERE'] },
  {
    name: 'scp: what is not there',
    program: 'scp',
    words: ['-q', 'HOST:THERE/nothing', 'HERE/got'],
  },
  {
    name: 'scp, old: there',
    program: 'scp',
    words: ['-O', '-q', '-p', 'HERE/mine', 'HOST:THERE/mine'],
  },
  { name: 'scp, old: back', program: 'scp', words: ['-O', '-q', 'HOST:THERE/big', 'HERE/got'] },
  { name: 'scp, old: all', program: 'scp', words: ['-O', '-q', '-r', 'HERE/tree', 'HOST:THERE'] },
  {
    name: 'scp, old: what is not there',
    program: 'scp',
    words: ['-O', '-q', 'HOST:THERE/nothing', 'HERE/got'],
  },
]
