/** Programs that change the machine, and what each does by its words. A list: what is missing here does `shell:run`. */
import {
  hasOption,
  isCritical,
  isRecord,
  isUnknown,
  operands,
  plainPath,
  written,
} from './classify'
import type { Invocation, Walker } from './walk'
import { type Field, known, UNKNOWN } from './words'

type Does = (w: Walker, args: readonly Field[], one: Invocation, base: string) => void

const list = (words: string, does: Does): Record<string, Does> =>
  Object.fromEntries(words.split(' ').map((word) => [word, does]))

/** Always this. */
const always =
  (verb: string): Does =>
  (w, args, _one, base) => {
    w.found.verb(verb, 'program', base)
    for (const field of operands(args))
      if (/^[/~]/.test(field.text)) w.found.path(verb, w.at(field))
  }

/** This, but for looking. */
const unless =
  (verb: string, looks: RegExp): Does =>
  (w, args, one, base) => {
    const words = args.map(({ text }) => text)
    if (words.length > 0 && words.some((word) => looks.test(word)) && args.every(known)) return
    always(verb)(w, args, one, base)
  }

function removes(w: Walker, args: readonly Field[], isRecursive: boolean): void {
  const { found } = w
  for (const field of operands(args)) {
    const at = w.at(field)
    found.path('shell:delete', at)
    if (isRecord(plainPath(at.text))) found.verb('shell:conceal', 'path', plainPath(at.text))
    if (/^\/etc\/(?:passwd|shadow|group|sudoers)/.test(plainPath(at.text)))
      found.path('shell:account', plainPath(at.text))
    if (!isRecursive) continue
    if (isCritical(at)) found.path('shell:destroy', plainPath(at.text) || '/')
    // `"$dir"/x` with an empty $dir begins at the root.
    else if (isUnknown(at) && isWide(at.text))
      found.fail('what is removed with all below it can’t be told')
  }
}

/** Something unknown where a whole tree may be meant. */
const isWide = (text: string): boolean =>
  text.startsWith(UNKNOWN) || /^(?:\/|~\/?)\0/.test(text) || /^\/(?:\w+\/)?\0/.test(text)

function copies(w: Walker, args: readonly Field[], isMove: boolean): void {
  const { found } = w
  const all = operands(args)
  const flag = args.findIndex(({ text }) => /^(?:-\w*t|--target-directory)$/.test(text))
  const target = flag >= 0 ? args[flag + 1] : all.at(-1)
  const attached = args.find(({ text }) => text.startsWith('--target-directory='))
  const to = attached ? { ...attached, text: attached.text.slice(19) } : target
  for (const field of all) {
    if (field === to) continue
    const at = w.at(field)
    found.path(isMove ? 'shell:delete' : 'shell:read', at)
    if (isMove && isCritical(at)) found.path('shell:destroy', plainPath(at.text))
    if (isMove && isRecord(plainPath(at.text)))
      found.verb('shell:conceal', 'path', plainPath(at.text))
  }
  if (to) {
    w.write(to)
    // Into a directory: under the name that it had.
    for (const field of all)
      if (field !== to && known(field)) {
        const name = field.text.slice(field.text.lastIndexOf('/') + 1)
        const inside = `${w.at(to).text.replace(/\/$/, '')}/${name}`
        written(w, inside)
        if (w.fetched.includes(name) || w.fetched.includes(field.text))
          w.fetched.push(w.at(to).text, inside)
      }
  }
}

function permissions(w: Walker, args: readonly Field[], base: string): void {
  const { found } = w
  const [mode, ...rest] = operands(
    args.filter(({ text }) => !/^-[rwxXst,]+$/.test(text) || /^-[Rcfv]+$/.test(text)),
  )
  const paths =
    args.some(({ text }) => text.startsWith('--reference')) && mode ? [mode, ...rest] : rest
  const isRecursive = hasOption(args, 'R', 'recursive')
  found.verb('shell:permission', 'program', base)
  if (base === 'chmod' && mode && isSetuid(mode.text)) found.verb('shell:elevate', 'program', base)
  for (const field of paths) {
    const at = w.at(field)
    const plain = plainPath(at.text)
    found.path('shell:permission', at)
    if (isCritical(at) && (isRecursive || plain === '/')) found.path('shell:destroy', plain || '/')
    else if (isRecursive && isUnknown(at) && isWide(at.text))
      found.fail('what is changed with all below it can’t be told')
    if (/^\/etc\/(?:passwd|shadow|group|gshadow|sudoers)/.test(plain))
      found.path('shell:account', plain)
  }
}

/** A mode that has a program run as whom it belongs to. */
function isSetuid(mode: string): boolean {
  return /^0*[4-7][0-7]{3}$|(?:^|,)[ugoa]*[+=][rwxXt]*s/.test(mode)
}

function firewall(looks: RegExp, changes?: RegExp): Does {
  return (w, args, _one, base) => {
    const words = args.map(({ text }) => text)
    const isLook =
      args.every(known) &&
      words.some((word) => looks.test(word)) &&
      !(changes && words.some((word) => changes.test(word)))
    if (!isLook) w.found.verb('shell:firewall', 'program', base)
  }
}

const WATCHERS =
  /^(?:auditd|rsyslog|syslog|syslog-ng|systemd-journald|journald|osqueryd?|falco|wazuh-agent|crowdstrike|falcon-sensor|fail2ban|apparmor|clamav-daemon|filebeat|auditbeat|vector|fluent-?bit|fluentd|td-agent)(?:\.service|\.socket)?$/

export const COMMANDS: Readonly<Record<string, Does | undefined>> = {
  __proto__: null as never,
  rm: (w, args) => {
    const isRecursive = hasOption(args, 'rR', 'recursive')
    if (hasOption(args, '', 'no-preserve-root')) w.found.verb('shell:destroy', 'program', 'rm')
    removes(w, args, isRecursive)
    if (
      args.some(
        (field) =>
          isUnknown(field) &&
          (field.text.startsWith(UNKNOWN) || field.text.startsWith('-')) &&
          !isRecursive &&
          field.isMany,
      )
    )
      // It may be an option.
      w.found.path('shell:delete', '*')
  },
  'rm -r': (w, args) => removes(w, args, true),
  ...list('rmdir unlink', (w, args) => removes(w, args, false)),
  shred: (w, args) => {
    removes(w, args, false)
    for (const field of operands(args)) written(w, w.at(field).text)
  },
  truncate: (w, args) => {
    for (const field of operands(args)) {
      w.write(field)
    }
  },
  mv: (w, args) => copies(w, args, true),
  ...list('cp install ln link rsync scp', (w, args, _one, base) => {
    if (base === 'rsync') {
      const at = args.findIndex(({ text }) => /^(?:-\w*e|--rsh)$/.test(text))
      const shell = at >= 0 ? args[at + 1] : args.find(({ text }) => text.startsWith('--rsh='))
      if (shell) {
        if (!known(shell)) w.found.fail('what rsync is given can’t be told')
        else
          w.nested(shell.text.replace(/^--rsh=/, ''), {
            stdin: null,
            through: ['rsync -e'],
            elevated: false,
          })
      }
      if (args.some(({ text }) => text.startsWith('--rsync-path')))
        w.found.fail('what rsync runs at the other end')
      if (args.some(({ text }) => text === '--remove-source-files' || text.startsWith('--delete')))
        w.found.verb('shell:delete')
    }
    if (
      base === 'scp' &&
      args.some(({ text }) => /^-(?:S|oProxyCommand|J)/i.test(text) && !/^-(?:J|r|p)/.test(text))
    )
      w.found.fail('what scp is given can’t be told')
    for (const field of operands(args)) {
      const host = /^(?:[^@\s/:]+@)?([\w.-]+|\[[0-9a-f:]+\]):/i.exec(field.text)?.[1]
      if (host && /^(?:rsync|scp)$/.test(base)) w.found.verb('shell:network', 'host', host)
    }
    if (base === 'install') {
      const at = args.findIndex(({ text }) => /^(?:-m|--mode)/.test(text))
      const mode = args[at]?.text.replace(/^(?:-m|--mode=?)/, '') || args[at + 1]?.text
      if (at >= 0 && isSetuid(mode ?? '')) w.found.verb('shell:elevate', 'program', base)
    }
    if (
      base === 'ln' &&
      args.some(({ text }) => /history$/.test(text)) &&
      args.some(({ text }) => text === '/dev/null')
    )
      w.found.verb('shell:conceal', 'program', 'ln')
    copies(w, args, false)
  }),
  tee: (w, args) => {
    for (const field of operands(args)) {
      w.write(field)
    }
  },
  sort: (w, args) => {
    if (args.some(({ text }) => /^--com/.test(text)))
      w.found.fail('sort is told to run another program')
    // Which of the words is the one it writes matters less than that it writes.
    if (!hasOption(args, 'o', 'output')) return
    for (const field of operands(args)) w.write(field)
    for (const { text } of args) {
      const path = /^(?:-[^-]*?o|--o\w*=)(.+)$/.exec(text)?.[1]
      if (path) w.found.path('shell:write', path)
    }
  },
  uniq: (w, args) => {
    const to = operands(args)[1]
    if (to) w.write(to)
  },
  ...list('split csplit', (w, args) => {
    const [, prefix] = operands(args)
    if (prefix) w.write(prefix)
    else w.found.path('shell:write', '.')
  }),
  sponge: (w, args) => {
    for (const field of operands(args)) {
      w.write(field)
    }
  },
  sed: (w, args) => {
    const isInPlace = args.some(({ text }) => /^-[nrEusz]*i|^--in-place/.test(text))
    const files = operands(args).slice(
      args.some(({ text }) => /^-\w*e$|^--expression/.test(text)) ? 0 : 1,
    )
    for (const field of files) {
      if (!isInPlace) w.found.path('shell:read', w.at(field))
      else {
        w.write(field)
      }
    }
  },
  dd: (w, args) => {
    for (const field of args) {
      const match = /^(of|if)=([\s\S]*)$/.exec(field.text)
      if (!match) {
        if (isUnknown(field)) w.found.fail('what dd writes can’t be told')
        continue
      }
      const at = w.at({ ...field, text: match[2]! })
      if (match[1] === 'if') w.found.path('shell:read', at)
      else if (!known(at) || at.isGlob) w.found.fail('what dd writes can’t be told')
      else {
        w.write(at)
      }
    }
  },
  ...list(
    'wipefs sfdisk sgdisk',
    unless(
      'shell:destroy',
      /^(?:-l|--list|-n|--no-act|-d|--dump|-p|--print|-J|--json|-s|--show-size|-V|--version|-h|--help)$/,
    ),
  ),
  ...list(
    'fdisk gdisk parted cfdisk',
    unless('shell:destroy', /^(?:-l|--list|print|-s|-V|--version|--help)$/),
  ),
  ...list(
    'blkdiscard lvremove vgremove pvremove pvcreate lvreduce badblocks hdparm',
    (w, args, one, base) => {
      if (
        base === 'hdparm' &&
        !args.some(({ text }) => /security|trim|write-sector|repair-sector/.test(text))
      )
        return
      if (base === 'badblocks' && !hasOption(args, 'wn')) return
      always('shell:destroy')(w, args, one, base)
    },
  ),
  ...list('zpool zfs btrfs mdadm cryptsetup nvme dmsetup', (w, args, one, base) => {
    if (
      args.some(
        (field) =>
          !known(field) ||
          /^(?:destroy|labelclear|rollback|delete|del|--zero-superblock|--stop|--fail|luksFormat|luksErase|erase|luksKillSlot|reencrypt|format|sanitize|remove|remove_all|wipe_table)$/.test(
            field.text,
          ),
      )
    )
      always('shell:destroy')(w, args, one, base)
  }),
  chmod: (w, args, _one, base) => permissions(w, args, base),
  ...list('chown chgrp setfacl chattr chcon', (w, args, _one, base) => permissions(w, args, base)),
  setcap: always('shell:elevate'),
  ...list(
    'iptables ip6tables iptables-legacy ip6tables-legacy iptables-nft ebtables arptables',
    firewall(
      /^(?:-L\w*|-S|-n?v?L\w*|-[nv]*L[nv]*|--list(?:-rules)?|-V|--version|-C|--check)$/,
      /^(?:-[AIDRFXPNEZ]|--(?:append|insert|delete|replace|flush|policy|new|zero|rename).*)/,
    ),
  ),
  ...list('iptables-restore ip6tables-restore', always('shell:firewall')),
  nft: firewall(
    /^(?:list|-v|--version|monitor|describe)$/,
    /^(?:-f|--file|flush|add|delete|insert|replace|create|destroy|reset|-i)$/,
  ),
  ufw: firewall(/^(?:status|show|version|app|--version|--dry-run)$/),
  'firewall-cmd': firewall(
    /^--(?:list|get|state|info|query|version)/,
    /^--(?:add|remove|set|delete|reload|complete-reload|panic|new|direct|runtime)/,
  ),
  ipset: firewall(/^(?:list|-L|test|-T|save|version)$/),
  ...list(
    'useradd adduser userdel deluser groupadd addgroup groupdel delgroup groupmod gpasswd chpasswd vipw vigr newusers visudo chfn chsh pwconv pwunconv newgidmap',
    unless('shell:account', /^(?:-c|--check|--version|--help|-D)$/),
  ),
  ...list('passwd chage usermod', unless('shell:account', /^(?:-S|--status|-l|--list|--help)$/)),
  ...list('reboot shutdown halt poweroff kexec pm-suspend', (w, args, one, base) => {
    if (
      !(base === 'shutdown' && args.some(({ text }) => text === '-c')) &&
      !args.some(({ text }) => text === '--help')
    )
      always('shell:power')(w, args, one, base)
  }),
  ...list('init telinit', (w, args, one, base) => {
    if (args.length > 0) always('shell:power')(w, args, one, base)
  }),
  kill: (w, args) => {
    if (
      operands(args).some(({ text }) => text === '-1' || text === '1') ||
      args.slice(1).some(({ text }) => text === '-1')
    )
      w.found.verb('shell:power', 'program', 'kill')
  },
  ...list('killall5', always('shell:power')),
  ...list('pkill killall skill', (w, args, _one, base) => {
    if (
      args.some(
        ({ text }, at) =>
          /^(?:-u|-U|--user|--euid)$/.test(args[at - 1]?.text ?? '') && /^(?:root|0)$/.test(text),
      ) ||
      operands(args).some(({ text }) => /^[.*]+$|^systemd$|^init$|^sshd$/.test(text))
    )
      w.found.verb('shell:power', 'program', base)
    if (operands(args).some(({ text }) => WATCHERS.test(text)))
      w.found.verb('shell:conceal', 'program', base)
  }),
  systemctl: (w, args) => {
    const [verb, ...units] = operands(args)
    if (args.some((field) => isUnknown(field) && field === verb))
      w.found.fail('what systemctl is given can’t be told')
    const word = verb?.text ?? ''
    if (
      /^(?:reboot|poweroff|halt|kexec|rescue|emergency|suspend|hibernate|hybrid-sleep|isolate|soft-reboot|default|exit)$/.test(
        word,
      )
    )
      w.found.verb('shell:power', 'program', 'systemctl')
    else if (
      /^(?:start|stop|restart|reload|try-restart|reload-or-restart|enable|disable|reenable|mask|unmask|kill|edit|set-default|set-property|set-environment|unset-environment|import-environment|daemon-reload|daemon-reexec|link|revert|preset|add-wants|add-requires|reset-failed|clean|freeze|thaw|bind|mount-image)$/.test(
        word,
      )
    ) {
      w.found.verb('shell:service', 'program', 'systemctl')
      for (const { text } of units) {
        w.found.verb('shell:service', 'service', text.replaceAll(UNKNOWN, '*'))
        if (/^(?:stop|disable|mask|kill|restart)$/.test(word) && WATCHERS.test(text))
          w.found.verb('shell:conceal', 'service', text)
      }
      if (word === 'edit') w.found.verb('shell:interactive', 'program', 'systemctl')
    }
  },
  ...list('service rc-service invoke-rc.d', (w, args) => {
    const [unit, verb] = operands(args)
    if (!unit || !verb || /^(?:status|--status-all)$/.test(verb.text)) return
    w.found.verb('shell:service', 'service', unit.text.replaceAll(UNKNOWN, '*'))
    if (WATCHERS.test(unit.text) && verb.text !== 'start')
      w.found.verb('shell:conceal', 'service', unit.text)
  }),
  ...list(
    'update-rc.d chkconfig sv supervisorctl initctl',
    unless('shell:service', /^(?:status|--list|check|list|version|tail|avail|pid)$/),
  ),
  crontab: unless('shell:schedule', /^-\w*l$/),
  ...list(
    'insmod modprobe rmmod depmod',
    unless('shell:kernel', /^(?:-n|--dry-run|-c|--showconfig|-D|--show-depends|--version)$/),
  ),
  sysctl: (w, args) => {
    if (
      args.some(
        (field) =>
          isUnknown(field) ||
          /^(?:-w|--write|-p|--load|--system)/.test(field.text) ||
          /^[\w./-]+=/.test(field.text),
      )
    )
      w.found.verb('shell:kernel', 'program', 'sysctl')
  },
  ...list(
    'setenforce swapoff swapon pivot_root switch_root losetup',
    unless('shell:kernel', /^(?:-a?l|--list|--show|-s|--summary|-j)$/),
  ),
  mount: (w, args) => {
    if (operands(args).length > 0 || args.some(({ text }) => text === '-a'))
      w.found.verb('shell:kernel', 'program', 'mount')
  },
  umount: always('shell:kernel'),
  ip: (w, args) => {
    if (
      args.some(({ text }) => /^(?:netns|vrf)$/.test(text)) &&
      args.some(({ text }) => text === 'exec')
    )
      w.found.fail('what ip runs')
    if (
      args.some(
        (field) =>
          isUnknown(field) ||
          /^(?:add|del|delete|set|flush|change|replace|append|up|down)$/.test(field.text),
      ) &&
      !args.some(({ text }) => /^(?:show|list|get)$/.test(text))
    )
      w.found.verb('shell:firewall', 'program', 'ip')
  },
  auditctl: unless('shell:conceal', /^(?:-l|-s|-v)$/),
  journalctl: (w, args) => {
    if (args.some(({ text }) => /^--(?:vacuum|rotate|flush|setup-keys|relinquish)/.test(text)))
      w.found.verb('shell:conceal', 'program', 'journalctl')
  },
  dmesg: (w, args) => {
    if (hasOption(args, 'cCDnE', 'clear', 'read-clear', 'console-off'))
      w.found.verb('shell:conceal', 'program', 'dmesg')
  },
  ...list(
    'apt apt-get aptitude yum dnf microdnf zypper pacman apk brew snap flatpak pip pip3 pipx npm yarn pnpm gem cargo dpkg rpm go',
    (w, args, _one, base) => {
      const word = operands(args)[0]?.text ?? ''
      const letters = args[0]?.text ?? ''
      if (
        args.some(({ text }) => /^(?:-o|--option)/.test(text)) &&
        /^apt/.test(base) &&
        args.some(({ text }) => /Invoke|Pre-|Post-|Update::/i.test(text))
      )
        w.found.fail(`what ${base} is told to run`)
      if (
        /^(?:exec|x|run-script|dlx)$/.test(word) ||
        (/^(?:npm|yarn|pnpm|go|cargo)$/.test(base) && word === 'run' && false)
      )
        w.found.fail(`${base} runs something`)
      const isChange =
        /^(?:install|i|add|remove|rm|purge|uninstall|un|autoremove|upgrade|update|full-upgrade|dist-upgrade|dup|reinstall|downgrade|in|erase|localinstall|ci|link|publish|refresh|del|hold|unhold|mark|get|global)$/.test(
          word,
        ) ||
        (base === 'dpkg' &&
          /^-(?:i|r|P)|^--(?:install|remove|purge|unpack|configure|force)/.test(letters)) ||
        (base === 'rpm' &&
          /^-[ieUF]|^--(?:install|erase|upgrade|import|rebuilddb)/.test(letters)) ||
        (base === 'pacman' && /^-[SRU]/.test(letters) && !/^-S[sil]+$/.test(letters))
      const isList =
        /^(?:apt|apt-get)$/.test(base) && word === 'update' && operands(args).length === 1
      if (isChange && !isList) w.found.verb('shell:install', 'program', base)
    },
  ),
  ...list('nc ncat netcat nc.openbsd nc.traditional rustcat rcat pwncat', (w, args, _one, base) => {
    if (hasOption(args, 'ec', 'exec', 'sh-exec', 'lua-exec'))
      w.found.verb('shell:reverse-shell', 'program', base)
    for (const field of operands(args)) {
      if (isUnknown(field)) w.found.verb('shell:network', 'host', '*')
      else if (/[.:]|[a-z]/i.test(field.text)) w.found.verb('shell:network', 'host', field.text)
    }
  }),
  socat: (w, args) => {
    for (const field of args) {
      if (isUnknown(field)) w.found.fail('what socat is given can’t be told')
      else if (/^(?:exec|system|shell):|,(?:exec|system)/i.test(field.text))
        w.found.verb('shell:reverse-shell', 'program', 'socat')
      const host = /^(?:tcp|udp|openssl|ssl|sctp)(?:4|6)?(?:-connect|-sendto)?:([^:,]+)/i.exec(
        field.text,
      )?.[1]
      if (host) w.found.verb('shell:network', 'host', host)
    }
  },
  telnet: (w, args) => {
    for (const field of operands(args))
      if (/[a-z.]/i.test(field.text)) w.found.verb('shell:network', 'host', field.text)
    w.found.verb('shell:interactive', 'program', 'telnet')
  },
  ...list('sftp ftp lftp', (w, args, _one, base) => {
    for (const field of operands(args))
      w.found.verb(
        'shell:network',
        'host',
        field.text
          .replace(/^[^@]*@/, '')
          .replace(/:.*$/, '')
          .replaceAll(UNKNOWN, '*'),
      )
    if (args.some(({ text }) => /^-[a-z]*[bec]$|^-o?Proxy|^-S$/i.test(text)))
      w.found.fail(`what ${base} is told to do`)
  }),
  tar: (w, args) => {
    if (
      args.some(
        (field) =>
          /^--(?:checkpoint-a|to-c|use-c|rsh-c|rmt-c|info-s|new-volume|I)|^-(?!-)\w*[IF]/.test(
            field.text,
          ) ||
          (field.isMany && field.text.startsWith(UNKNOWN)),
      )
    )
      w.found.fail('what tar is told to run')
    const first = args[0]?.text.replace(/^-/, '') ?? ''
    if (/x/.test(first) && !first.startsWith('-')) {
      const at = args.findIndex(({ text }) => /^(?:-C|--directory)$/.test(text))
      const to = at >= 0 ? args[at + 1] : undefined
      if (to) {
        w.write(to)
        if (plainPath(to.text) === '/') w.found.verb('shell:install', 'program', 'tar')
      }
    }
    if (args.some(({ text }) => text === '--remove-files')) w.found.verb('shell:delete')
    for (const field of args) if (/^[/~.]/.test(field.text)) w.found.path('shell:read', w.at(field))
  },
  git: (w, args) => {
    for (const [at, field] of args.entries()) {
      const before = args[at - 1]?.text
      const isSetting =
        before === '-c' ||
        /^-c./.test(field.text) ||
        /^--config-env|^--exec-path=|^--upload-pack|^--receive-pack|^-u$|^--exec|^-x$|^--extcmd|^--open-files-in-pager|^-O./.test(
          field.text,
        )
      if (!isSetting) continue
      const setting = field.text.replace(/^-c(?=.)/, '')
      if (
        !/^(?:color|user|advice|core\.(?:quotepath|autocrlf|longpaths|filemode|abbrev)|http\.(?:version|postbuffer)|pull|push|merge\.ff|init|safe|protocol\.version|log|diff\.(?:renames|algorithm)|gc\.auto|fetch\.)/i.test(
          setting,
        )
      ) {
        w.found.fail('what git is told to run')
        return
      }
    }
    const word = operands(args)[0]?.text
    if (
      word === 'config' &&
      args.some(({ text }) =>
        /^(?:alias\.|core\.(?:pager|editor|sshcommand|hookspath|fsmonitor|askpass)|.*\.(?:textconv|command|cmd|clean|smudge|process|helper))/i.test(
          text,
        ),
      ) &&
      operands(args).length > 2
    )
      w.found.fail('what git is told to run')
    if (word === 'bisect' && args.some(({ text }) => text === 'run'))
      w.found.fail('what git is told to run')
    if (word === 'submodule' && args.some(({ text }) => text === 'foreach'))
      w.found.fail('what git is told to run')
    if (word === 'filter-branch' || (word === 'rebase' && hasOption(args, 'x', 'exec')))
      w.found.fail('what git is told to run')
  },
  ...list('make gmake ninja', (w, args) => {
    if (
      args.some(
        (field) => isUnknown(field) || /^--eval|^-f-$|^(?:SHELL|MAKEFLAGS)=/.test(field.text),
      ) ||
      args.some(({ text }, at) => text === '-f' && args[at + 1]?.text === '-')
    )
      w.found.fail('what make is given can’t be told')
  }),
  login: (w) => w.found.verb('shell:elevate', 'program', 'login'),
  unzip: (w, args) => {
    const at = args.findIndex(({ text }) => /^-d/.test(text))
    const directory = args[at]?.text === '-d' ? args[at + 1] : args[at]
    if (at >= 0 && directory)
      w.write({ ...directory, text: directory.text.replace(/^-d/, '').replace(/\/?$/, '/*') })
  },
  ...list('zip', (w, args) => {
    if (args.some(({ text }) => /^-\w*TT|^--unzip-command/.test(text)))
      w.found.fail('what zip is told to run')
  }),
  tcpdump: (w, args) => {
    if (args.some(({ text }) => /^-\w*z/.test(text))) w.found.fail('what tcpdump is told to run')
  },
  ...list('man less more most pg bat', (w, args, _one, base) => {
    if (
      args.some(({ text }) => /^(?:-P|--pager|-H|--html|--preproc|-p|\+!)/.test(text)) &&
      base !== 'bat'
    )
      w.found.fail(`what ${base} is told to run`)
    for (const field of operands(args))
      if (/^[/~.]/.test(field.text)) w.found.path('shell:read', w.at(field))
  }),
  ...list('curl', (w, args) => {
    if (args.some(({ text }) => /^(?:-K|--config)/.test(text)))
      w.found.fail('what curl is told to do')
    for (const [at, field] of args.entries())
      if (
        /^(?:-d|--data|--data-binary|-T|--upload-file|-F|--form)$/.test(args[at - 1]?.text ?? '') &&
        /@|^\//.test(field.text)
      )
        w.found.path('shell:read', { ...field, text: field.text.replace(/^.*@/, '') })
  }),
  wget: (w, args) => {
    if (args.some(({ text }) => /^(?:--use-askpass|--config|-e$|--execute|--post-file)/.test(text)))
      w.found.fail('what wget is told to do')
  },
  ...list('systemd-nspawn machinectl lxc lxc-attach virsh', (w, args, _one, base) => {
    if (
      args.some(({ text }) => /^(?:shell|exec|login|attach)$/.test(text)) ||
      base === 'lxc-attach'
    )
      w.found.fail(`what ${base} runs`)
  }),
  ...list('ansible ansible-playbook salt pdsh pssh clush mussh fab', (w, _args, _one, base) =>
    w.found.fail(`what ${base} runs on other hosts`),
  ),
  ...list(
    'expect autoexpect logsave start-stop-daemon daemonize capsh firejail bwrap proot faketime rlwrap catchsegv sg newgrp setuidgid entr inotifywait run-parts debugfs',
    (w, _args, _one, base) => w.found.fail(`what ${base} runs`),
  ),
}
