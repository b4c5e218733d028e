import { type LogLevel, logLevels } from '../log.ts'
import { type AdminContext, type AdminEndpoint, type AdminReply, text } from './endpoint.ts'

const usage = [
  'usage: /logging?<name>=<level> (change single level)',
  'usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)',
  'usage: /logging?level=<level> (change all levels)',
  'usage: /logging?group=<group_name>:<level> (change group of loggers)',
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
    const wishes = [...query].filter(([name, value]) => value !== '' || !['level', 'paths', 'group'].includes(name))
    if (wishes.length > 1) return refused(context, 'invalid number of parameters')
    for (const [name, value] of wishes) {
      if (name === 'group') return refused(context, 'group parameter requires fine-grain logging to be enabled')
      if (name === 'level') changes.push(['all', value])
      else if (name === 'paths') changes.push(...value.split(',').map((pair): [string, string] => splitPair(pair)))
      else changes.push([name, value])
    }
    const { log } = context.control
    for (const [name, word] of changes) {
      if (name === '' || word === '') return refused(context, 'empty logger name or empty logger level')
      if (!isLogLevel(word)) return refused(context, 'unknown logger level')
      if (name !== 'all' && !log.levels().has(name)) return refused(context, 'unknown logger name')
    }
    for (const [name, word] of changes) {
      if (!isLogLevel(word)) continue
      log.setLevel(name, word)
      if (name === 'all' || name === 'worker') context.control.workers.setLogLevel(word)
    }
    return text(list(context))
  },
}

function isLogLevel(word: string): word is LogLevel {
  return logLevels.some((level) => level === word)
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
