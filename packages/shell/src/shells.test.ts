// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a shell's own
/**
 * Real shells as the oracle: lines are made up at random around a program that exists for this test alone, and run. Whatever
 * a shell runs must be among what the analysis names, or the analysis must say that it has not understood.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { analyseShell } from './analyse'

const RUNS = 300

let directory: string
let tools: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-shells-'))
  tools = join(directory, 'bin')
  spawnSync('mkdir', [tools])
  writeFileSync(join(tools, 'zap'), '#!/bin/sh\necho "ZAPPED $*"\n')
  chmodSync(join(tools, 'zap'), 0o755)
  // Nothing else can be run: no line that is made here can do harm, whatever it says.
  for (const name of [
    'env',
    'nice',
    'nohup',
    'xargs',
    'cat',
    'timeout',
    'sh',
    'bash',
    'setsid',
    'true',
  ]) {
    const found = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim()
    symlinkSync(found.startsWith('/') ? found : `/bin/${name}`, join(tools, name))
  }
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Whether the shell runs the program when it is given the line. */
function zaps(shell: string, line: string): boolean {
  const { stdout } = spawnSync(join('/bin', shell), ['-c', line], {
    cwd: directory,
    env: { PATH: tools },
    encoding: 'utf8',
    input: '',
    timeout: 10_000,
  })
  return stdout.includes('ZAPPED') || /ZAPPED/.test(stdout)
}

const seesZap = (line: string): boolean => {
  const seen = analyseShell(line, { parseBytesMax: 64 * 1024 })
  return (
    !seen.understood ||
    seen.objects.some(({ verb, name }) => verb === 'shell:run' && /(?:^|\/)zap$/.test(name))
  )
}

/** The program's name, disguised. */
const name = fc.constantFrom(
  'zap',
  '\\zap',
  'z\\ap',
  "z''ap",
  '"zap"',
  "'zap'",
  'z"a"p',
  "$'zap'",
  "$'\\x7aap'",
  '$"zap"',
  'z{a,}p',
  '{zap,x}',
  '$z',
  '"$z"',
  '${z}',
  '${z:-zap}',
  '${u:-zap}',
  '$(echo zap)',
  '`echo zap`',
  'z${IFS}ap',
  'za\\\np',
  '${z#q}',
  '${z%q}',
  'z?p',
  'z[a]p',
  './bin/zap',
  'bin/zap',
  '$PWD/bin/zap',
  'z$@ap',
  'z${u}ap',
  '$((1))zap',
  '~+/bin/zap',
  'zap$u',
  '{,zap}',
)
/** What it is put into; `@` is the command. */
const frame = fc.constantFrom(
  '@',
  '@ a b',
  'x=1 @',
  '! @',
  '( @ )',
  '{ @; }',
  'true && @',
  'true; @',
  'false || @',
  '@ &',
  'if true; then @; fi',
  'for i in 1; do @; done',
  'while @; do break; done',
  'case a in a) @;; esac',
  'f() { @; }; f',
  'echo $(@)',
  'echo "`@`"',
  'echo "$(@)"',
  'eval @',
  "eval '@'",
  'eval "@"',
  "sh -c '@'",
  'bash -c "@"',
  'env @',
  'env -i PATH="$PATH" @',
  'nice @',
  'nice -n 1 @',
  'nohup @',
  'timeout 5 @',
  'command @',
  'exec @',
  'setsid -w @',
  'xargs @',
  "sh -c 'eval @'",
  'cat <<E\n$(@)\nE',
  'sh <<E\n@\nE',
  "sh <<'E'\n@\nE",
  'echo @ | sh',
  "printf '%s\\n' '@' | sh",
  'sh <<< "@"',
  'echo $((1+$(@ >&2; echo 1)))',
  "trap '@' EXIT",
  "alias q='@'; q",
  ': "${v:=$(@)}"',
  'v=$(@) true',
  '> "$(@)"',
  '[[ a && @ ]]',
  '(( @ ))',
  '((@))',
  'echo # @',
  "echo '@'",
  'echo "@"',
  "echo $'\\'' ; @ #'",
  "echo '\\' ; @ #'",
  'echo \\\n@',
  '@ <<< x',
  'x="@"; $x',
  "x='@'; eval $x",
  'echo | @',
  '@ | cat',
  'time @',
  'coproc @',
  'function g { @; }; g',
  'select i in 1; do @; done <<< 1',
  'until @; do break; done',
  '{ echo @; } | sh',
  'echo @ > f; sh f',
  'echo @ > f; . ./f',
  'bash -lc "@"',
  'sh -ec "@"',
  'env -S "@"',
  'true | { @; }',
  'x() { "$@"; }; x @',
  'set -- @; "$@"',
  'set -- @; $*',
  'sh -c \'"$0"\' @',
  'read c <<< "@"; $c',
  'printf -v c %s @; $c',
  'echo "${u:-$(@)}"',
  'a=(@); "${a[@]}"',
  'declare c=@; $c',
  'export c=@; $c',
  'for c in @; do $c; done',
  'IFS=,; c=@,1; $c',
  'cat <(@)',
  '. <(echo @)',
  'source /dev/stdin <<< @',
  'bash -s <<< @',
  'builtin eval @',
  'hash -p bin/zap q; q',
  '@() { :; }; @',
)
const line = fc.tuple(frame, frame, name).map(([outer, inner, one]) => {
  const command = inner.replaceAll('@', () => one)
  return `z=zap; ${outer.replaceAll('@', () => command)}`
})

describe.each(['bash', 'dash'])('what %s runs', (shell) => {
  it('is named, or said not to be understood', () => {
    let zapped = 0
    fc.assert(
      fc.property(line, (text) => {
        if (!zaps(shell, text)) return
        zapped++
        expect([text, seesZap(text)]).toEqual([text, true])
      }),
      { numRuns: RUNS, seed: Number(process.env.CUSTODY_SEED ?? 7), endOnFailure: true },
    )
    // Lines that run nothing would prove nothing.
    expect(zapped).toBeGreaterThan(RUNS / 10)
  })
})
