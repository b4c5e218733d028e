import { domainToASCII } from 'node:url'

/** What is wrong with a DNS name, in the words of IDNA implementations; undefined when nothing is. One trailing dot is allowed. */
export function dnsNameProblem(name: string): string | undefined {
  const canonical = canonicalDnsName(name)
  return canonical.problem
}

/** True when both are the same name: case, a trailing dot and the Unicode or Punycode form do not matter. Gives the problem of the first that is no name. */
export function equalDnsNames(left: string, right: string): boolean | { invalid: string; problem: string } {
  if (left === right && left !== '') return true
  const a = canonicalDnsName(left)
  if (a.problem !== undefined) return { invalid: left, problem: a.problem }
  const b = canonicalDnsName(right)
  if (b.problem !== undefined) return { invalid: right, problem: b.problem }
  return a.name === b.name
}

type Canonical = { name: string; problem?: undefined } | { problem: string }

function canonicalDnsName(name: string): Canonical {
  const withoutDot = name.endsWith('.') ? name.slice(0, -1) : name
  const ascii = isAscii(withoutDot) ? withoutDot.toLowerCase() : domainToASCII(withoutDot)
  if (ascii === '' && withoutDot !== '') return { problem: `idna: disallowed rune in ${JSON.stringify(name.slice(0, 253))}` }
  if (ascii.length > 253) return { problem: 'idna: name is longer than 253 characters' }
  for (const label of ascii.split('.')) {
    const problem = labelProblem(label)
    if (problem !== undefined) return { problem }
  }
  return { name: ascii }
}

function labelProblem(label: string): string | undefined {
  const doubleHyphen = label.slice(2, 4) === '--' && !label.startsWith('xn--')
  if (label === '' || label.length > 63 || label.startsWith('-') || label.endsWith('-') || doubleHyphen) {
    return `idna: invalid label "${label}"`
  }
  const disallowed = /[^a-z0-9-]/u.exec(label)?.[0]
  if (disallowed === undefined) return undefined
  const code = (disallowed.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return `idna: disallowed rune U+${code}`
}

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text)
}
