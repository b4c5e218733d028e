import {
  type OverloadAction,
  type OverloadManager as OverloadConfig,
  ScaleTimersOverloadActionConfig,
  ScaleTimersOverloadActionConfig_TimerType as TimerType,
  type Trigger,
} from '@weft/contracts/envoy/config/overload/v3/overload'
import type { ComponentLog } from '../../log.ts'
import type { Gauge, Stats } from '../../observe/stats.ts'
import { durationMs } from '../../plan/duration.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import { loadShedPoints, overloadActions, ProcessState, type ScaledTimeout } from '../../shared/process-state.ts'
import { trimMemory } from '../free-memory.ts'
import { compileMonitor, type Monitor } from './monitors.ts'

const actionPrefix = 'envoy.overload_actions.'
const pointPrefix = 'envoy.load_shed_points.'
/** Counted; gives back what is free. */
const shrinkHeap = 'shrink_heap'

interface Watched {
  name: string
  read: Monitor
  pressure: number
}

/** What follows from pressure: an action, or a load-shed point. */
interface Consequence {
  name: string
  triggers: readonly Trigger[]
  act(share: number): void
}

/** Throws for a configuration that the proxy cannot follow. */
export function checkOverload(config: OverloadConfig): void {
  compile(config, new ProcessState(), null)
}

/** Looks at resources at each refresh interval and tells all threads what to do about them (Envoy's overload manager). */
export class OverloadManager {
  readonly #watched: readonly Watched[]
  readonly #consequences: readonly Consequence[]
  readonly #stats: Stats
  readonly #log: ComponentLog
  readonly #timer: NodeJS.Timeout
  readonly #pressures = new Map<string, Gauge>()

  constructor(config: OverloadConfig, options: { state: ProcessState; stats: Stats; log: ComponentLog }) {
    const { watched, consequences } = compile(config, options.state, options.stats)
    this.#watched = watched
    this.#consequences = consequences
    this.#stats = options.stats
    this.#log = options.log
    for (const { name } of watched) {
      this.#pressures.set(name, options.stats.gauge(`overload.${name}.pressure`))
      options.stats.counter(`overload.${name}.failed_updates`)
      options.stats.counter(`overload.${name}.skipped_updates`)
    }
    this.refresh()
    this.#timer = setInterval(() => this.refresh(), durationMs(config.refreshInterval, 1_000))
    this.#timer.unref()
  }

  /** Reads every resource and sets every action. A resource that cannot be read stays as it was. */
  refresh(): void {
    for (const one of this.#watched) {
      try {
        one.pressure = one.read()
        this.#pressures.get(one.name)?.set(Math.round(one.pressure * 100))
      } catch (error) {
        this.#stats.counter(`overload.${one.name}.failed_updates`).inc()
        this.#log.debug(`${one.name} cannot be read: ${String(error)}`)
      }
    }
    const pressures = new Map(this.#watched.map(({ name, pressure }) => [name, pressure]))
    for (const { triggers, act } of this.#consequences)
      act(Math.max(0, ...triggers.map((trigger) => shareOf(trigger, pressures.get(trigger.name) ?? 0))))
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

function compile(config: OverloadConfig, state: ProcessState, stats: Stats | null) {
  const names = new Set<string>()
  const watched = config.resourceMonitors.map((monitor, i): Watched => {
    const path = `overload_manager.resource_monitors[${i}]`
    if (names.has(monitor.name)) throw invalid(`${path}.name`, `Duplicate resource monitor ${monitor.name}`)
    names.add(monitor.name)
    return { name: monitor.name, read: compileMonitor(monitor, state, path), pressure: 0 }
  })
  const checkTriggers = (triggers: readonly Trigger[], path: string, of: string): void => {
    const seen = new Set<string>()
    triggers.forEach(({ name, triggerOneof }, i) => {
      const at = `${path}.triggers[${i}]`
      if (!names.has(name)) throw invalid(`${at}.name`, `Unknown trigger resource ${name} for ${of}`)
      if (seen.has(name)) throw invalid(`${at}.name`, `Duplicate trigger resource for ${of}: ${name}`)
      seen.add(name)
      if (triggerOneof?.$case === 'scaled' && triggerOneof.value.scalingThreshold >= triggerOneof.value.saturationThreshold)
        throw invalid(`${at}.scaled`, 'scaling_threshold must be less than saturation_threshold')
    })
  }
  const consequences: Consequence[] = []
  config.actions.forEach((action, i) => {
    const { name, triggers } = action
    const path = `overload_manager.actions[${i}]`
    checkTriggers(triggers, path, `overload action ${name}`)
    const known = overloadActions.find((action) => name === actionPrefix + action)
    if (known === undefined && name !== actionPrefix + shrinkHeap) throw unsupported(`${path}.name`, `overload action '${name}'`)
    if (consequences.some((one) => one.name === name)) throw invalid(`${path}.name`, `Duplicate overload action ${name}`)
    compileTypedConfig(action, path, state)
    const active = stats?.gauge(`overload.${name}.active`)
    const percent = stats?.gauge(`overload.${name}.scale_percent`)
    const shrunk = known === undefined ? stats?.counter(`overload.${name}.shrink_count`) : undefined
    let before = 0
    consequences.push({
      name,
      triggers,
      act(share) {
        if (known !== undefined) state.setShare(known, share)
        else if (share >= 1 && before < 1) {
          shrunk?.inc()
          trimMemory()
        }
        before = share
        active?.set(share >= 1 ? 1 : 0)
        percent?.set(Math.round(share * 100))
      },
    })
  })
  config.loadshedPoints.forEach(({ name, triggers }, i) => {
    const path = `overload_manager.loadshed_points[${i}]`
    checkTriggers(triggers, path, `loadshed point ${name}`)
    const known = loadShedPoints.find((point) => name === pointPrefix + point)
    const percent = stats?.gauge(`overload.${name}.scale_percent`)
    consequences.push({
      name,
      triggers,
      act(share) {
        // A point that nothing of ours asks, or that nobody knows, changes nothing.
        if (known !== undefined) state.setShare(known, share)
        percent?.set(Math.round(share * 100))
      },
    })
  })
  return { watched, consequences }
}

const timersConfig = 'envoy.config.overload.v3.ScaleTimersOverloadActionConfig'

/** Which timeouts `reduce_timeouts` shortens, and by how much; other actions have no such configuration. */
function compileTypedConfig({ name, typedConfig: any }: OverloadAction, path: string, state: ProcessState): void {
  const reduces = name === `${actionPrefix}reduce_timeouts`
  if (any === undefined) {
    if (reduces) throw invalid(`${path}.typed_config`, `Overload action "${name}" requires typed_config`)
    return
  }
  if (!reduces) throw invalid(`${path}.typed_config`, `Overload action name "${name}" conflicts with its typed config`)
  if (!any.typeUrl.endsWith(`/${timersConfig}`)) throw invalid(`${path}.typed_config`, `has to be a ${timersConfig}`)
  const seen = new Set<number>()
  ScaleTimersOverloadActionConfig.decode(any.value).timerScaleFactors.forEach(({ timer, overloadAdjust }, i) => {
    const at = `${path}.typed_config.timer_scale_factors[${i}]`
    if (seen.has(timer)) throw invalid(`${at}.timer`, 'Found duplicate entry for this timer')
    seen.add(timer)
    const scaled = timeoutOf(timer)
    if (scaled === null) throw unsupported(`${at}.timer`, 'this timer')
    if (overloadAdjust?.$case === 'minTimeout') state.setFloor(scaled, { type: 'ms', ms: durationMs(overloadAdjust.value, 0) })
    else state.setFloor(scaled, { type: 'share', share: (overloadAdjust?.value.value ?? 0) / 100 })
  })
}

function timeoutOf(timer: TimerType): ScaledTimeout | null {
  switch (timer) {
    case TimerType.HTTP_DOWNSTREAM_CONNECTION_IDLE:
      return 'connection-idle'
    case TimerType.HTTP_DOWNSTREAM_CONNECTION_MAX:
      return 'connection-max'
    case TimerType.HTTP_DOWNSTREAM_STREAM_IDLE:
      return 'stream-idle'
    case TimerType.TRANSPORT_SOCKET_CONNECT:
      return 'transport-socket-connect'
    default:
      return null
  }
}

function shareOf({ triggerOneof }: Trigger, pressure: number): number {
  if (triggerOneof === undefined) return 0
  if (triggerOneof.$case === 'threshold') return pressure >= triggerOneof.value.value ? 1 : 0
  const { scalingThreshold, saturationThreshold } = triggerOneof.value
  return Math.min(1, Math.max(0, (pressure - scalingThreshold) / (saturationThreshold - scalingThreshold)))
}
