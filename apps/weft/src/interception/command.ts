import { type Command, Option } from 'commander'
import type { Terminal } from '../terminal.ts'

/** Adds `weft iptables`. Its flags are those of Istio's istio-iptables, so that an init container for that runs this. */
export function addIptables(program: Command, terminal: Terminal, done: (code: number) => void): void {
  const hidden = (flags: string): Option => new Option(flags).hideHelp()
  program
    .command('iptables')
    .alias('istio-iptables')
    .summary('lead the connections of a network namespace to the proxy in it')
    .description(
      'Sets packet filter rules (IPv4, and IPv6 where it is in use) by which programs are caught unmodified: what they connect to goes to the outbound port, what connects to them to the inbound port. Running it again gives the same rules. Lists are separated by commas.',
    )
    .option('-p, --envoy-port <port>', 'where outbound connections are led', '15001')
    .option('-z, --inbound-capture-port <port>', 'where inbound connections are led', '15006')
    .option('-u, --proxy-uid <uids>', 'users whose connections are let through: those the proxy runs as', '1337')
    .option('-g, --proxy-gid <gids>', 'groups whose connections are let through', '1337')
    .option('-m, --istio-inbound-interception-mode <mode>', 'REDIRECT, or TPROXY (then the proxy needs NET_ADMIN)', 'REDIRECT')
    .option('-b, --istio-inbound-ports <ports>', "inbound ports that are caught; '*': all, '': none", '*')
    .option('-d, --istio-local-exclude-ports <ports>', 'inbound ports that are not', '')
    .option('-i, --istio-service-cidr <ranges>', "addresses to which connections are caught; '*': all, '': none", '*')
    .option('-x, --istio-service-exclude-cidr <ranges>', 'addresses to which they are not', '')
    .option('-q, --istio-outbound-ports <ports>', 'outbound ports that are caught, whatever the address', '')
    .option('-o, --istio-local-outbound-ports-exclude <ports>', 'outbound ports that are not', '')
    .option('-c, --istio-exclude-interfaces <names>', 'network interfaces whose traffic is let alone', '')
    .option('-k, --kube-virt-interfaces <names>', 'interfaces of virtual machines: what comes in there is outbound', '')
    .option('--redirect-dns', 'catch DNS questions too', false)
    .option('--dns-port <port>', 'where DNS questions are led', '15053')
    .option('-t, --inbound-tproxy-mark <mark>', 'the mark of packets, with TPROXY', '1337')
    .option('-r, --inbound-tproxy-route-table <table>', 'the routing table of these packets, with TPROXY', '133')
    .option('--network-namespace <name>', 'a name of ip netns, or a path such as /proc/PID/ns/net (default: this one)')
    .option('-n, --dry-run', 'print the rules', false)
    .option('--undo', 'take the rules out again, and nothing else', false)
    .option('--run-validation', 'fail when the rules are not in force', false)
    .option('--skip-rule-apply', 'set no rules', false)
    .addOption(hidden('--force-apply'))
    .addOption(hidden('--log_as_json'))
    .addOption(hidden('--log_output_level <level>'))
    .addHelpText(
      'after',
      `
Examples:
  weft iptables -d 15020,15021 -x 10.96.0.1/32
  weft iptables --network-namespace web -u 1337
  weft iptables --network-namespace web --undo`,
    )
    .action(async (options) => done((await import('../commands/iptables.ts')).iptables(options, terminal)))
}
