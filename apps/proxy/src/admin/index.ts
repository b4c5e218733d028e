import { certs } from './certs.ts'
import { clusters } from './clusters.ts'
import { configDump } from './config-dump.ts'
import { drainListeners } from './drain-listeners.ts'
import { type AdminEndpoint, text } from './endpoint.ts'
import { healthCheckFail, healthCheckOk } from './health-check.ts'
import { initDump } from './init-dump.ts'
import { listeners } from './listeners.ts'
import { logging } from './logging.ts'
import { memory } from './memory.ts'
import { quit } from './quit.ts'
import { ready } from './ready.ts'
import { reopenLogs } from './reopen-logs.ts'
import { runtime, runtimeModify } from './runtime.ts'
import { serverInfo } from './server-info.ts'
import { lookupSwitches, resetCounters, stats, statsPrometheus, statsRecentLookups } from './stats.ts'
import { contention, hotRestartVersion, profilers } from './unsupported.ts'

const home: AdminEndpoint = {
  path: '/',
  help: 'Admin home page',
  handle: () => ({ type: 'text/html; charset=UTF-8', body: homePage() }),
}

const help: AdminEndpoint = { path: '/help', help: 'print out list of admin commands', handle: () => text(helpText()) }

/** Every path of the admin API, sorted. */
export const endpoints: readonly AdminEndpoint[] = [
  home,
  help,
  certs,
  clusters,
  configDump,
  contention,
  drainListeners,
  healthCheckFail,
  healthCheckOk,
  hotRestartVersion,
  initDump,
  listeners,
  logging,
  memory,
  quit,
  ready,
  reopenLogs,
  resetCounters,
  runtime,
  runtimeModify,
  serverInfo,
  stats,
  statsPrometheus,
  statsRecentLookups,
  ...lookupSwitches,
  ...profilers,
].sort((a, b) => (a.path < b.path ? -1 : 1))

/** The list of commands as `/help` prints it. */
export function helpText(): string {
  const lines = endpoints.flatMap(({ path, post, help, parameters = [] }) => [
    `  ${path}${post === true ? ' (POST)' : ''}: ${help}`,
    ...parameters.map(([name, meaning]) => `      ${name}: ${meaning}`),
  ])
  return `admin commands are:\n${lines.join('\n')}\n`
}

function homePage(): string {
  const rows = endpoints.map(({ path, post, help }) => {
    const name = path.slice(1)
    const command =
      post === true
        ? `<form action="${name}" method="post"><button>${name}</button></form>`
        : `<a href="${name || '.'}">${path}</a>`
    return `<tr><td>${command}</td><td>${escapeHtml(help)}</td></tr>`
  })
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>weft-proxy admin</title>
<style>body { font-family: sans-serif } td { padding: 4px } tr:nth-child(odd) { background: #eee } form { margin: 0 }</style>
</head>
<body><table>
${rows.join('\n')}
</table></body>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
