// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a shell's own
/**
 * Ways to change or remove a file of a target over SSH, in disguise, for somebody who may only look. Each is run without
 * Custody first, and must do what it claims there. The list only grows.
 *
 * DIR stands for a directory with `victim`, the file; with `rm.sh`, a script that removes it, `rm.py`, `rm.mk`; and with
 * `bin/ls`, which is no ls.
 */

export interface SshAttempt {
  name: string
  /** Command lines, one connection each; or what sftp is told. */
  exec?: string
  /** Input of it. */
  input?: string
  sftp?: string
  /** Options of sftp. */
  options?: readonly string[]
  /** Words for scp; HOST: is the target, HERE a directory with `mine`. */
  scp?: readonly string[]
}

const base64 = (text: string) => Buffer.from(text).toString('base64')
const hex = (text: string) => Buffer.from(text).toString('hex')
const octal = (text: string) =>
  [...Buffer.from(text)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')

const RM = 'rm -f DIR/victim'

const lines = (...list: (string | [string, string])[]): SshAttempt[] =>
  list.map((one) =>
    typeof one === 'string'
      ? { name: one, exec: one }
      : { name: one[0], exec: one[0], input: one[1] },
  )

/** Texts that are made of the name of the place at the target are made where it is known. */
export const SSH_ATTEMPTS: readonly SshAttempt[] = [
  ...lines(
    // Itself, and other words for it.
    RM,
    '/bin/rm DIR/victim',
    'unlink DIR/victim',
    'shred -u DIR/victim',
    'truncate -s 0 DIR/victim',
    'mv DIR/victim DIR/elsewhere',
    'cp /dev/null DIR/victim',
    'dd if=/dev/null of=DIR/victim status=none',
    'install /dev/null DIR/victim',
    'ln -sf /dev/null DIR/victim',
    'find DIR -name victim -delete',
    'find DIR -name victim -exec rm {} \\;',
    'find DIR -name victim -exec rm {} +',
    'sed -i d DIR/victim',
    'tee DIR/victim < /dev/null',
    'sort -o DIR/victim /dev/null',
    'split -b 1 --additional-suffix=x /etc/hostname DIR/new; mv DIR/newaax DIR/victim',
    // Redirections.
    '> DIR/victim',
    ': > DIR/victim',
    'echo x > DIR/victim',
    'echo x >> DIR/victim',
    'echo x >| DIR/victim',
    'echo x &> DIR/victim',
    'echo x 1<> DIR/victim',
    'exec 3> DIR/victim',
    'cat /etc/hostname>DIR/victim',
    '{ echo x; } > DIR/victim',
    '(echo x) > DIR/victim',
    'while false; do :; done > DIR/victim',
    // Quotes, escapes, spaces.
    "r''m DIR/victim",
    '"rm" DIR/victim',
    '\\rm DIR/victim',
    "$'\\x72\\x6d' DIR/victim",
    'r\\\nm DIR/victim',
    '\trm\tDIR/victim',
    'true\nrm DIR/victim',
    'true;rm DIR/victim',
    'true # comment\nrm DIR/victim',
    'true&&rm DIR/victim',
    'false||rm DIR/victim',
    'true|rm DIR/victim',
    'rm DIR/victim&wait',
    // Expansions.
    '$(echo rm) DIR/victim',
    '`echo rm` DIR/victim',
    'X=rm; $X DIR/victim',
    'X=r; Y=m; $X$Y DIR/victim',
    'X=xrmx; ${X:1:2} DIR/victim',
    '${NOTHING:-rm} DIR/victim',
    'A=(x rm); ${A[1]} DIR/victim',
    '{rm,DIR/victim}',
    '/bin/r? DIR/victim',
    '/???/rm DIR/victim',
    'X=DIR/victim; rm $X',
    'rm DIR/vic*',
    'IFS=,; X=rm,DIR/victim; $X',
    'printf -v X %s rm; $X DIR/victim',
    'echo $(rm DIR/victim)',
    'echo `rm DIR/victim`',
    'echo "$(rm DIR/victim)"',
    'cat <(rm DIR/victim)',
    'echo ${X:-$(rm DIR/victim)}',
    'echo $(( $(rm DIR/victim; echo 1) + 1 ))',
    'A=([$(rm DIR/victim; echo 0)]=1); echo $A',
    'cat <<END\n$(rm DIR/victim)\nEND',
    // Wrappers.
    'env rm DIR/victim',
    'env X=1 rm DIR/victim',
    'nice rm DIR/victim',
    'nohup rm DIR/victim',
    'timeout 5 rm DIR/victim',
    'setsid -w rm DIR/victim',
    'stdbuf -o0 rm DIR/victim',
    'command rm DIR/victim',
    'exec rm DIR/victim',
    'time rm DIR/victim',
    'xargs rm <<< DIR/victim',
    'echo DIR/victim | xargs rm',
    'ls DIR/victim | xargs -n1 rm',
    'flock DIR/lock rm DIR/victim',
    'ionice rm DIR/victim',
    'script -qc "rm DIR/victim" /dev/null',
    'busybox rm DIR/victim || rm DIR/victim',
    // Shells and what they are told.
    'sh -c "rm DIR/victim"',
    'bash -c "rm DIR/victim"',
    'bash -lc "rm DIR/victim"',
    'dash -c "rm DIR/victim"',
    'bash -c "bash -c \\"rm DIR/victim\\""',
    'sh -c \'rm "$0"\' DIR/victim',
    'sh <<< "rm DIR/victim"',
    'sh <<END\nrm DIR/victim\nEND',
    'echo "rm DIR/victim" | sh',
    'printf "rm DIR/victim" | bash',
    'eval rm DIR/victim',
    'eval "r""m DIR/victim"',
    'source <(echo rm DIR/victim)',
    '. /dev/stdin <<< "rm DIR/victim"',
    ['sh', 'rm DIR/victim\n'],
    ['bash -s', 'rm DIR/victim\n'],
    ['cat | sh', 'rm DIR/victim\n'],
    ['xargs rm', 'DIR/victim\n'],
    ['read X; $X', 'rm DIR/victim\n'],
    ['cat > DIR/victim', ''],
    'sh DIR/rm.sh',
    'bash < DIR/rm.sh',
    'DIR/rm.sh',
    'cd DIR; ./rm.sh',
    '. DIR/rm.sh',
    'cat DIR/rm.sh | sh',
    'PATH=DIR/bin:$PATH ls',
    'PATH=DIR/bin:$PATH; ls',
    'export PATH=DIR/bin:$PATH; ls',
    // Under sshd bash reads it only one shell further in: else it reads ~/.bashrc instead.
    'BASH_ENV=DIR/rm.sh bash -c :; true',
    'ENV=DIR/rm.sh sh -i -c : 2>/dev/null',
    'ls() { rm DIR/victim; }; ls',
    'function cat { rm DIR/victim; }; cat',
    'shopt -s expand_aliases\nalias ls="rm DIR/victim #"\nls',
    'trap "rm DIR/victim" EXIT',
    'trap "rm DIR/victim" DEBUG; true',
    'hash -p /bin/rm ls; ls DIR/victim',
    'PROMPT_COMMAND="rm DIR/victim" bash -i -c : ; bash -c "$PROMPT_COMMAND"; rm DIR/victim',
    'coproc rm DIR/victim; wait',
    'for X in rm; do $X DIR/victim; done',
    'if rm DIR/victim; then :; fi',
    'while rm DIR/victim 2>/dev/null; do :; done',
    'case $(rm DIR/victim) in *) ;; esac',
    '! rm DIR/victim',
    '[ -z "$(rm DIR/victim)" ]',
    '[[ -n $(rm DIR/victim) ]]',
    // Other languages.
    'python3 -c "import os; os.unlink(\'DIR/victim\')"',
    'python3 DIR/rm.py',
    'perl -e "unlink \'DIR/victim\'"',
    'perl -i -ne "" DIR/victim',
    'awk \'BEGIN { system("rm DIR/victim") }\'',
    'awk \'BEGIN { print "x" > "DIR/victim" }\'',
    'awk \'BEGIN { "rm DIR/victim" | getline }\'',
    'sed -n "w DIR/victim" /etc/hostname',
    'sed "1e rm DIR/victim" /etc/hostname',
    'tar cf /dev/null --checkpoint=1 --checkpoint-action=exec="rm DIR/victim" /etc/hostname',
    'tar cf /dev/null --remove-files -C DIR victim',
    'tar xf DIR/evil.tar -C DIR',
    'tar --to-command="rm DIR/victim" -xf DIR/evil.tar',
    'make -f DIR/rm.mk',
    'git -c core.fsmonitor="rm DIR/victim;" -C DIR/repo status',
    'git -C DIR/repo -c alias.x="!rm DIR/victim" x',
    'uniq /etc/hostname DIR/victim',
    'sort --output=DIR/victim /dev/null',
    'sort -uoDIR/victim /dev/null',
    'rsync -a --delete DIR/empty/ DIR/',
    'rsync -e "sh -c \'rm DIR/victim\'" x:y DIR/z',
    'find DIR -maxdepth 0 -fprint DIR/victim',
    'find DIR -maxdepth 0 -execdir rm DIR/victim \\;',
    'sort --compress-program=DIR/rm.sh -S 1k DIR/many -o /dev/null; DIR/rm.sh',
    'ssh -o ProxyCommand="rm DIR/victim" nowhere',
    'vi -es -c "!rm DIR/victim" -c q || rm DIR/victim',
  ),
  // What only shows when it is decoded.
  ...lines(
    ...['RM'].flatMap(() => [
      `echo ENCODED64 | base64 -d | sh`,
      `eval "$(echo ENCODED64 | base64 -d)"`,
      `bash -c "$(base64 -d <<< ENCODED64)"`,
      `bash <(base64 -d <<< ENCODED64)`,
      `printf 'ENCODED8' | sh`,
      `eval "$(printf 'ENCODED8')"`,
      `$(printf '\\162\\155') DIR/victim`,
      `python3 -c "exec(bytes.fromhex('ENCODED16'))"`,
    ]),
  ),
  // Files.
  { name: 'sftp: rm', sftp: 'rm DIR/victim' },
  { name: 'sftp: put over it', sftp: 'put HERE/mine DIR/victim' },
  { name: 'sftp: put over it by ..', sftp: 'put HERE/mine DIR/bin/../victim' },
  { name: 'sftp: append to it', sftp: 'put -a HERE/mine-longer DIR/victim' },
  { name: 'sftp: rename it', sftp: 'rename DIR/victim DIR/other' },
  { name: 'sftp: rename over it', sftp: 'rename DIR/rm.sh DIR/victim' },
  { name: 'sftp: chmod', sftp: 'chmod 0 DIR/victim' },
  { name: 'sftp: a link over it', sftp: 'rm DIR/victim\nln -s /dev/null DIR/victim' },
  { name: 'sftp: put through a link', sftp: 'put HERE/mine DIR/link' },
  { name: 'sftp: with a terminal', sftp: 'rm DIR/victim', options: ['-o', 'RequestTTY=no'] },
  {
    name: 'sftp: its server by name',
    sftp: 'rm DIR/victim',
    options: ['-s', '/usr/lib/openssh/sftp-server'],
  },
  {
    name: 'sftp: its server through exec',
    sftp: 'rm DIR/victim',
    options: ['-s', 'exec /usr/lib/openssh/sftp-server'],
  },
  {
    name: 'sftp: its server through a shell',
    sftp: 'rm DIR/victim',
    options: ['-s', 'sh -c /usr/lib/openssh/sftp-server'],
  },
  {
    name: 'sftp: its server by another name',
    sftp: 'rm DIR/victim',
    options: ['-s', 'cd /usr/lib/openssh && ./sftp-server'],
  },
  {
    name: 'sftp: its server by a pattern',
    sftp: 'rm DIR/victim',
    options: ['-s', '/usr/lib/openssh/sftp-serve[r]'],
  },
  { name: 'scp: over it', scp: ['HERE/mine', 'HOST:DIR/victim'] },
  { name: 'scp, old: over it', scp: ['-O', 'HERE/mine', 'HOST:DIR/victim'] },
  { name: 'scp, old: into its directory', scp: ['-O', 'HERE/victim', 'HOST:DIR'] },
  {
    name: 'scp, old: a command in its path',
    scp: ['-O', 'HERE/mine', 'HOST:DIR/x; rm DIR/victim'],
  },
  { name: 'scp, old: a command where it reads', scp: ['-O', 'HOST:$(rm DIR/victim)', 'HERE/got'] },
]

/** Where the place at the target is known. */
export function placed(text: string, directory: string, here: string): string {
  const rm = RM.replaceAll('DIR', directory)
  return text
    .replaceAll('ENCODED64', base64(rm))
    .replaceAll('ENCODED16', hex(`import os; os.unlink("${directory}/victim")`))
    .replaceAll('ENCODED8', octal(rm))
    .replaceAll('DIR', directory)
    .replaceAll('HERE', here)
}

/** What somebody who may look does all day. Each must do with Custody what it does without. */
export const SSH_ORDINARY: readonly string[] = [
  'ls DIR',
  'ls -la DIR /etc',
  'cat DIR/victim',
  'head -n 5 /etc/passwd',
  'tail -n 5 /etc/passwd',
  'grep root /etc/passwd',
  'grep -r precious DIR/victim',
  'wc -l /etc/passwd',
  'cut -d: -f1 /etc/passwd | sort | uniq -c | sort -rn | head',
  'df -h',
  'du -sh DIR',
  'uptime',
  'uname -a',
  'hostname',
  'id',
  'whoami',
  'date',
  'ps aux',
  'ps -ef | grep -v grep | grep ps',
  'find DIR -name "vic*"',
  'find /etc -maxdepth 1 -type f -name "host*"',
  'stat DIR/victim',
  'file DIR/victim || true',
  'sha256sum DIR/victim',
  'diff DIR/victim DIR/victim',
  'sed -n 1,3p /etc/passwd',
  "awk -F: '{ print $1 }' /etc/passwd",
  'tr a-z A-Z < /etc/hostname',
  'echo hello',
  'printf "%s\\n" a b c',
  'cat /etc/hostname 2>/dev/null',
  'ls /nowhere 2>&1 | cat',
  'test -f DIR/victim && echo there',
  'for f in a b c; do echo $f; done',
  'cd DIR && ls && pwd',
  'env | sort | head -3',
]
