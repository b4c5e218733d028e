import { type Command, Option } from 'commander'
import type { Terminal } from '../terminal.ts'

/** Adds `weft inject`. */
export function addInject(program: Command, terminal: Terminal, done: (code: number) => void): void {
  withSettings(program.command('inject'))
    .summary('put sidecars into Kubernetes workloads, as the webhook does')
    .description(
      'Prints the files with a sidecar in each workload (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, Pod, ReplicationController, DeploymentConfig, Rollout, and Lists of them). Other objects, comments and order stay.',
    )
    .requiredOption('-f, --file <path>', "a file, a folder of YAML, or '-' (may be repeated)", collect)
    .addHelpText(
      'after',
      `
Examples:
  weft inject -f bookinfo.yaml | kubectl apply -f -
  weft inject -f job.yaml --no-native-sidecars --set global.proxy.logLevel=debug`,
    )
    .action(async (options) => done(await (await import('../commands/inject.ts')).inject(options, terminal)))
}

/** Adds `weft install`. */
export function addInstall(program: Command, terminal: Terminal, done: (code: number) => void): void {
  withSettings(program.command('install'))
    .summary('put a control plane and a gateway into a Kubernetes cluster')
    .description(
      'Prints plain manifests of Citadel, Pilot, Mixer, an ingress gateway, the injection webhook, custom resource definitions, rights, disruption budgets and autoscalers; or applies them.',
    )
    .addOption(new Option('--platform <name>', 'where to').choices(['kubernetes']).makeOptionMandatory())
    .option('-n, --namespace <name>', 'of the control plane (default: istio-system)')
    .option('--apply', 'apply them (server-side) instead of printing', false)
    .option('--dry-run', 'with --apply: the API server checks all, and keeps nothing', false)
    .option('--kubeconfig <file>', 'with --apply: how the API server is reached (default: KUBECONFIG, or ~/.kube/config)')
    .option('--context <name>', 'with --apply: of the kubeconfig')
    .addHelpText(
      'after',
      `
Examples:
  weft install --platform kubernetes | kubectl apply --server-side -f -
  weft install --platform kubernetes --apply --set global.hub=registry.example.com/weft --set global.tag=0.1.0
  weft install --platform kubernetes --revision canary --apply
  weft install --platform kubernetes --set ingressGateway.serviceType=NodePort --set mixer.enabled=false`,
    )
    .action(async (options) => done(await (await import('../commands/install.ts')).install(options, terminal)))
}

/** The options that say how pods are injected. */
function withSettings(command: Command): Command {
  return command
    .option('--values <file>', "values as of Istio's charts, in YAML")
    .option('--set <name=value>', 'one value (may be repeated)', collect, [])
    .option('--mesh-config <file>', 'MeshConfig in YAML')
    .option('--revision <name>', 'of the control plane')
    .addOption(new Option('--no-native-sidecars', 'for Kubernetes before 1.33: sidecars are no restartable init containers'))
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}
