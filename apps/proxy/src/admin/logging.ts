import { logLevels, parseLogLevel } from '../log.ts'
import { type AdminContext, type AdminEndpoint, type AdminReply, text } from './endpoint.ts'

const usage = [
  'usage: /logging?<name>=<level> (change single level)',
  'usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)',
  'usage: /logging?level=<level> (change all levels)',
  `levels: ${logLevels.join(' ')} `,
].join('\n')

/** `/logging`: lists the levels of all loggers, and sets one, some or all. */
export const logging: AdminEndpoint = {
  path: '/logging',
  post: true,
  help: 'query/change logging levels',
  parameters: [
    ['paths', 'Change multiple logging levels: <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>'],
    ['level', `desired logging level, this will change all loggers' levels; One of (, ${logLevels.join(', ')})`],
  ],
  handle: (context, { query }) => {
    const changes: [string, string][] = []
    for (const [name, value] of query) {
      if (name === 'level') changes.push(['all', value])
      else if (name === 'paths') changes.push(...value.split(',').map((pair): [string, string] => splitPair(pair)))
      else changes.push([name, value])
    }
    if (changes.length > 1 && query.has('level')) return refused(context, 'only one kind of change may be made at a time')
    const { log } = context.control
    for (const [name, word] of changes) {
      if (parseLogLevel(word) === undefined) return refused(context, 'unknown logger level')
      if (name !== 'all' && !log.levels().has(name)) return refused(context, 'unknown logger name')
    }
    for (const [name, word] of changes) {
      const level = parseLogLevel(word)
      if (level === undefined) continue
      log.setLevel(name, level)
      if (name === 'all' || name === 'worker') context.control.workers.setLogLevel(level)
    }
    return text(list(context))
  },
}

function splitPair(pair: string): [string, string] {
  const at = pair.lastIndexOf(':')
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
}

function refused(context: AdminContext, reason: string): AdminReply {
  return text(`error: ${reason}\n\n${usage}\n${list(context)}`, 400)
}

function list({ control }: AdminContext): string {
  return `active loggers:\n${[...control.log.levels()].map(([name, level]) => `  ${name}: ${level}`).join('\n')}\n\n`
}
