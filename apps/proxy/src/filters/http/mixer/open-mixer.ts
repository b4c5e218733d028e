import { randomUUID } from 'node:crypto'
import type { WorkerServices } from '../../../worker-services.ts'
import type { TransportPlan } from './config.ts'
import type { MixerCounters } from './counters.ts'
import { MixerClient } from './mixer-client.ts'
import { PolicyRevisions } from './policy-revisions.ts'
import { ReportBatch } from './report-batch.ts'
import { checkTransport, reportSender } from './transport.ts'

/** The two ways to Mixer; null where the configuration names no cluster for one. */
export interface MixerLink {
  readonly client: MixerClient | null
  readonly batch: ReportBatch | null
}

/** Makes a filter's way to Mixer; whoever holds it flushes the batch at its end. */
export function openMixer(plan: TransportPlan, services: WorkerServices, counters: MixerCounters): MixerLink {
  const revisions = new PolicyRevisions(() => client?.forget())
  const client =
    plan.checkCluster === ''
      ? null
      : new MixerClient({
          transport: checkTransport(services, plan.checkCluster, revisions),
          counters,
          useCheckCache: plan.useCheckCache,
          useQuotaCache: plan.useQuotaCache,
          idPrefix: `${randomUUID()}-`,
          now: () => performance.now(),
          wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        })
  const batch =
    plan.reportCluster === ''
      ? null
      : new ReportBatch({
          maxRecords: plan.batchRecords,
          maxWaitMs: plan.batchWaitMs,
          timers: services.timers,
          counters,
          send: reportSender(services, plan.reportCluster, revisions),
        })
  return { client, batch }
}
