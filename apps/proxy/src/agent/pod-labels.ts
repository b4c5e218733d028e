import { readFile } from 'node:fs/promises'

/** Where an injected pod's labels are (Kubernetes' downward API). */
const podLabelsFile = '/etc/istio/pod/labels'

/** The labels of a pod, from lines `key="value"`; none where there is no file. */
export async function readPodLabels(file = podLabelsFile): Promise<Record<string, string>> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const labels: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at < 1) continue
    try {
      const value: unknown = JSON.parse(line.slice(at + 1))
      if (typeof value === 'string') labels[line.slice(0, at)] = value
    } catch {
      // not of the downward API
    }
  }
  return labels
}
