import { enableCompileCache } from 'node:module'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { exitCodes } from './exit-codes.ts'
import { addIptables } from './interception/command.ts'
import { addInject, addInstall } from './kubernetes/command.ts'
import { mostMixerReplicas } from './mesh/addresses.ts'
import { compileCacheFolder } from './mesh/programs.ts'
import { processTerminal, type Terminal } from './terminal.ts'

const version = '0.1.0'

/** The whole command line. Each command's code is loaded when it runs, so that `weft --help` costs nothing. */
function weftCommand(terminal: Terminal, done: (code: number) => void): Command {
  const program = new Command('weft')
    .description('Runs and operates a Weft service mesh')
    .version(version)
    .showHelpAfterError('(add --help for the options)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  weft up                                run Bookinfo in a local mesh; Ctrl-C stops it
  weft up my-mesh --redis redis://localhost:6379
  weft apply -f virtual-service.yaml     change it while it runs
  weft get virtualservice reviews -o yaml
  weft proxy-status

Exit codes:
  0 done   1 failed   2 wrong usage   3 configuration refused, nothing applied
  4 nothing to talk to (no mesh runs, or a service cannot be reached)   5 applied, but not acknowledged by all proxies`,
    )
  const stateDir = (): Option =>
    new Option('--state-dir <dir>', 'where the mesh keeps its state').env('WEFT_STATE_DIR').default('.weft')

  program
    .command('up')
    .argument('[dir]', 'folder with Workload objects and Istio YAML (default: the Bookinfo mesh)')
    .summary('run a local mesh until Ctrl-C')
    .description(
      'Runs a whole mesh on this machine: Citadel, Pilot, Mixer, an ingress gateway, and each Workload of a folder with its sidecar.',
    )
    .addOption(stateDir())
    .option(
      '--gateway-port <port>',
      'port of the gateway on 127.0.0.1 (default: 8080, or the next free one)',
      wholeNumber(1, 65_535),
    )
    .option('--mixer-replicas <number>', 'how many Mixers run', wholeNumber(1, mostMixerReplicas), 1)
    .option('--redis <url>', 'keep quotas in this Redis instead of in memory')
    .option('--concurrency <number>', 'worker threads of each proxy', wholeNumber(1, 64), 1)
    .option('--adapter-dir <dir>', 'folder of Mixer adapters of your own, watched (default: adapters in the state folder)')
    .option('--from-sources', "start Weft's services from their sources, not from bundles made of them", false)
    .option('--timings', 'tell where the start-up time went', false)
    .addHelpText(
      'after',
      `
Examples:
  weft up                                Bookinfo, on the first free port from 8080 on
  weft up --timings --gateway-port 9000
  weft up --state-dir .weft-2            a second mesh beside the first`,
    )
    .action(async (dir: string | undefined, options) => done(await (await import('./commands/up.ts')).up(dir, options, terminal)))

  program
    .command('down')
    .summary('stop the local mesh')
    .addOption(stateDir())
    .action(async (options) => done(await (await import('./commands/down.ts')).down(options, terminal)))

  program
    .command('ps')
    .summary('list the processes of the local mesh')
    .addOption(stateDir())
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .action(async (options) => done((await import('./commands/ps.ts')).ps(options, terminal)))

  program
    .command('logs')
    .argument('<name>', 'a name that weft ps lists')
    .summary("print a process's log")
    .addOption(stateDir())
    .option('-n, --lines <number>', 'how many of the last lines', wholeNumber(0, 100_000), 50)
    .option('-f, --follow', 'go on with what is written next', false)
    .addHelpText('after', '\nExample:\n  weft logs reviews-v2-sidecar -n 20 --follow')
    .action(async (name: string, options) => done(await (await import('./commands/logs.ts')).logs(name, options, terminal)))

  const pilot = (command: Command): Command =>
    command
      .addOption(stateDir())
      .option('--pilot <host:port>', "Pilot's admin address (default: that of the local mesh)")
      .option('--operator-token-file <file>', 'the token that guards changes (default: that of the local mesh)')

  pilot(program.command('apply'))
    .summary('create or change configuration')
    .requiredOption('-f, --file <path>', 'a YAML file, a folder of them, or - for standard input (may be repeated)', collect)
    .option('--dry-run', 'validate only', false)
    .option('--wait', 'until every proxy has acknowledged', false)
    .option('--timeout <seconds>', 'how long --wait waits', wholeNumber(1, 3600), 30)
    .addHelpText('after', '\nExamples:\n  weft apply -f reviews.yaml --wait\n  cat *.yaml | weft apply -f - --dry-run')
    .action(async (options) => done(await (await import('./commands/apply.ts')).apply(options, terminal)))

  pilot(program.command('get'))
    .argument('<kind>', 'such as virtualservice, vs, destinationrule; or all')
    .argument('[name]', 'one object')
    .summary('print configuration')
    .option('-n, --namespace <name>', 'only this namespace (default: all)')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'yaml', 'json']).default('table'))
    .addHelpText('after', '\nExamples:\n  weft get all\n  weft get vs reviews -o yaml')
    .action(async (kind: string, name: string | undefined, options) =>
      done(await (await import('./commands/get.ts')).get(kind, name, options, terminal)),
    )

  pilot(program.command('delete'))
    .argument('[kind]', 'such as virtualservice')
    .argument('[name]', 'the object')
    .summary('remove configuration that was applied')
    .option('-n, --namespace <name>', 'its namespace', 'default')
    .option('-f, --file <path>', 'everything that these files define (may be repeated)', collect, [])
    .addHelpText('after', '\nExamples:\n  weft delete virtualservice reviews\n  weft delete -f reviews.yaml')
    .action(async (kind: string | undefined, name: string | undefined, options) =>
      done(await (await import('./commands/delete.ts')).remove(kind, name, options, terminal)),
    )

  pilot(program.command('proxy-status'))
    .summary('where each proxy stands with what Pilot sent')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .action(async (options) => done(await (await import('./commands/proxy-status.ts')).proxyStatus(options, terminal)))

  program
    .command('enroll')
    .summary('make proxy bootstraps and join tokens for processes that something else starts')
    .description(
      'For a mesh in containers or on several machines: a bootstrap with a join token for each WorkloadEntry with the annotation mesh.weft.dev/proxy, an environment and a token for each such WorkloadGroup, and join tokens for Pilot and Mixer.',
    )
    .requiredOption('--config <dir>', 'folder with WorkloadEntries and Services (may be repeated)', collect)
    .requiredOption('--out <dir>', 'where the bootstraps are written, readable by their owner alone')
    .requiredOption('--control-out <dir>', "where Pilot's and Mixer's tokens are written, readable by their owner alone")
    .requiredOption('--citadel <host:port>', "Citadel's admin address")
    .requiredOption('--operator-token-file <file>', "Citadel's operator token")
    .requiredOption('--citadel-grpc <ip:port>', 'where proxies find Citadel')
    .requiredOption('--pilot-grpc <ip:port>', 'where proxies find Pilot')
    .requiredOption('--root-cert-file <file>', "Citadel's root certificate, as proxies see it")
    .option('--ttl <seconds>', 'how long the join tokens are good', wholeNumber(1, 30 * 24 * 3600), 24 * 3600)
    .action(async (options) => done(await (await import('./commands/enroll.ts')).enroll(options, terminal)))

  addIptables(program, terminal, done)
  addInject(program, terminal, done)
  addInstall(program, terminal, done)

  const ca = program.command('ca').summary('certificates')
  ca.command('token')
    .argument('<identity...>', 'SPIFFE ids, such as spiffe://cluster.local/ns/default/sa/web')
    .summary('make join tokens, one a line')
    .addOption(stateDir())
    .option('--citadel <host:port>', "Citadel's admin address (default: that of the local mesh)")
    .option('--operator-token-file <file>', "Citadel's operator token (default: that of the local mesh)")
    .option('--ttl <seconds>', 'how long they are good', wholeNumber(1, 30 * 24 * 3600), 3600)
    .addHelpText('after', '\nExample:\n  weft ca token spiffe://cluster.local/ns/default/sa/web --ttl 600')
    .action(async (identities: string[], options) =>
      done(await (await import('./commands/ca-token.ts')).caToken(identities, options, terminal)),
    )
  return program
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (/^\d+$/.test(text) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}

/** Runs one command line; gives the exit code. An error is told in one line: what, where, and what to do. */
export async function runWeft(argv: readonly string[], terminal: Terminal): Promise<number> {
  let code: number = exitCodes.ok
  try {
    await weftCommand(terminal, (result) => {
      code = result
    }).parseAsync([...argv], { from: 'user' })
    return code
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const { WeftError } = await import('@weft/service/errors')
    const error = WeftError.from(thrown)
    terminal.tell(`${terminal.style('red', 'error:')} ${error.describe()}`)
    if (process.env['WEFT_DEBUG'] && error.stack) terminal.tell(error.stack)
    if (error.code === 'unavailable' || error.code === 'deadline_exceeded') return exitCodes.unreachable
    return error.code === 'invalid_argument' ? exitCodes.refused : exitCodes.failed
  }
}

if (import.meta.main) {
  enableCompileCache(compileCacheFolder)
  process.exitCode = await runWeft(process.argv.slice(2), processTerminal())
  // Keep-alive connections of fetch would hold the process for seconds; what went to a pipe is to get through before.
  process.stdout.write('', () => process.exit())
}
