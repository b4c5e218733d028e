import { adapter } from '../../adapter.ts'
import { config, levels } from './config.ts'
import { consoleLine, type Entry, jsonLine } from './line.ts'
import { openSink } from './sink.ts'

/** Writes log entries and metrics as lines. */
export default adapter({
  name: 'stdio',
  config,
  async open(handler) {
    const { outputAsJson, outputLevel } = handler.config
    const sink = await openSink(handler.config, handler)
    const least = levels.indexOf(outputLevel)
    const format = outputAsJson ? jsonLine : consoleLine
    return {
      close: sink.close,
      write(entry: Entry) {
        if (levels.indexOf(entry.level) >= least) sink.write(format(entry))
      },
    }
  },
  close: (state) => state.close(),
  templates: {
    logentry: ({ config, state }) => {
      const severities = new Map(Object.entries(config.severityLevels))
      return (instance) => {
        const level = severities.get(instance.severity) ?? 'INFO'
        state.write({ level, time: instance.timestamp ?? new Date(), instance: instance.name, values: instance.variables })
      }
    },
    metric: ({ config, state }) => {
      return (instance) => {
        const values = { ...instance.dimensions, value: instance.value }
        state.write({ level: config.metricLevel, time: new Date(), instance: instance.name, values })
      }
    },
  },
})
