import { type ChildProcess, spawn } from 'node:child_process'

/**
 * Ends the mesh's processes when the supervisor itself dies without having done so. It reads process-group ids from a
 * pipe that only the supervisor holds; when the pipe closes it ends the groups that are still listed, politely first.
 * A shell, so that it costs a megabyte and nothing of the mesh can take it along.
 */
const script = `
trap '' INT TERM HUP
groups=' '
while read -r what group; do
  case $what in
    add) groups="$groups$group " ;;
    del) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
[ "$groups" = ' ' ] && exit 0
for group in $groups; do kill -s TERM -- "-$group" 2>/dev/null; done
tries=0
while [ $tries -lt 30 ]; do
  left=''
  for group in $groups; do kill -s 0 -- "-$group" 2>/dev/null && left="$left $group"; done
  [ -z "$left" ] && exit 0
  sleep 0.1
  tries=$((tries + 1))
done
for group in $left; do kill -s KILL -- "-$group" 2>/dev/null; done
`

export class Watchdog {
  readonly #shell: ChildProcess
  readonly #groups = new Set<number>()

  constructor() {
    this.#shell = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    this.#shell.on('error', () => {})
    this.#shell.stdin?.on('error', () => {})
    this.#shell.unref()
  }

  /** Lists a process group to be ended if the supervisor dies. */
  add(group: number): void {
    if (!this.#groups.has(group)) this.#shell.stdin?.write(`add ${group}\n`)
    this.#groups.add(group)
  }

  /** Takes a process group that has ended off the list: its number may be given to another program. */
  remove(group: number): void {
    if (this.#groups.delete(group)) this.#shell.stdin?.write(`del ${group}\n`)
  }

  /** Ends the watchdog; what is still listed it ends first. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#shell.exitCode !== null || this.#shell.pid === undefined) return resolve()
      this.#shell.once('exit', () => resolve())
      this.#shell.stdin?.end()
    })
  }
}
