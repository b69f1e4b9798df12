/** Which programs are what: names only. */

const set = (names: string) => new Set(names.trim().split(/\s+/))

const STANDARD = /^\/(?:usr\/(?:local\/)?)?s?bin\/([^/]+)$/

/** A program's name: what stands in the usual places goes by its last part, anything else by the whole path. */
export function programName(path: string): string {
  return STANDARD.exec(path)?.[1] ?? path
}

export const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** Of Bourne's family, whose grammar is known here. */
export const isShell = (name: string): boolean =>
  /^(?:r?ba|da|a|r?z|r?k|mk|pdk|lk|ok|ya|po|bo)?sh(?:-?[\d.]+|-static)?$/.test(name) ||
  name === 'hush' ||
  name === 'osh'
/** Of others. */
export const isOtherShell = (name: string): boolean =>
  /^(?:t?csh|fish|nu|pwsh|powershell|elvish|xonsh|rc|es|oil|ysh|murex)$/.test(name)

export const isInterpreter = (name: string): boolean =>
  /^(?:python|pypy|perl|ruby|node|nodejs|php|lua|luajit|tclsh|expect|guile|deno|bun|R|Rscript|groovy|jshell|scala|erl|elixir|iex|irb|ghci|ocaml|swipl|gdb|lldb|emacs|ed|ex|bc_shell|osascript|julia|octave|raku|gnuplot|jrunscript|jjs|cpan|rlwrap|m4)(?:[\d.]+)?$/.test(
    name,
  )

/** Fetch what others wrote. */
export const DOWNLOADERS = set(
  'curl wget fetch aria2c lynx links w3m elinks http https httpie xh ftp tftp lftp ncftpget scp sftp rsync nc ncat netcat socat telnet GET lwp-request aws gsutil gcloud az s3cmd rclone dig nslookup host drill ssh openssl',
)
export const SOCKETS = set(
  'nc ncat netcat nc.openbsd nc.traditional socat telnet rustcat rcat pwncat openssl websocat',
)

/** Make something else of what they read, so that its text doesn't say what comes out. */
export const ELEVATORS = set('sudo doas su pkexec run0 runuser sudoedit sudo-rs')

/** Take further commands from who sits before them. */
export const INTERACTIVE = set(
  'tmux screen zellij byobu dtach abduco mosh mc nnn ranger emacs joe gdb mysql mariadb psql sqlite3 redis-cli mongo mongosh cqlsh clickhouse-client ftp sftp lftp telnet nmtui weechat irssi',
)
export const EDITORS = set(
  'vi vim nvim view vimdiff rvim rview gvim nano pico ed ex emacs micro helix hx kak ne',
)

/** Programs that start no other one that their arguments name. Anything else with a shell among its arguments is suspect. */
export const INERT = set(`
  : true false echo printf cat head tail less more ls dir vdir pwd cd pushd popd dirs grep egrep fgrep zgrep rg ag ack wc sort uniq
  cut tr paste join comm diff cmp sdiff md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum file stat touch
  mkdir rmdir rm cp mv ln install readlink realpath basename dirname which whereis type hash man info apropos whatis help test [
  date cal uptime who w whoami id groups users last lastlog ps pgrep pkill kill killall top htop free vmstat iostat df du mount
  umount lsblk blkid uname hostname hostnamectl timedatectl localectl dmesg journalctl systemctl service ip ifconfig ss netstat
  ping traceroute mtr dig host nslookup curl wget apt apt-get apt-cache aptitude dpkg dpkg-query dpkg-reconfigure rpm yum dnf zypper pacman apk brew snap
  flatpak pip pip3 pipx npm yarn pnpm gem cargo go chmod chown chgrp umask useradd userdel usermod groupadd groupdel passwd getent
  export declare typeset local readonly unset set shopt alias unalias read mapfile readarray getopts shift return break continue
  exit wait jobs fg bg disown history fc bind complete compgen let sleep seq yes jq yq column fold fmt nl od xxd hexdump strings
  base64 base32 gzip gunzip zcat bzip2 xz zstd unzip sed awk gawk mawk nawk git systemd-analyze loginctl lsof fuser crontab
  command_not_found tee rev tac shuf split csplit printenv locale tput stty clear reset logger sync lsmod modinfo sysctl ulimit
  nproc arch lscpu lsusb lspci getfacl setfacl lsattr chattr mkfifo mknod mktemp ufw iptables ip6tables nft firewall-cmd sftp scp
  update-alternatives chsh cmdwatch pidof locate updatedb cksum exa eza bat fd tree ncdu dd shred truncate wipefs ssh-keygen
  ssh-copy-id ssh-add md5 openssl visudo vipw adduser deluser addgroup visudo trap source builtin rpm2cpio cpio whatis tldr
`)

/** Names that mean trouble where a program that is not known is given one. */
export const RISKY = set(
  'sh bash dash ash zsh ksh fish csh tcsh sudo doas su pkexec rm dd shred mkfs wipefs chmod chown reboot shutdown halt poweroff iptables nft',
)
