import { z } from 'zod'
import { adapter, allow, deny } from '../../adapter.ts'
import { positiveDurationMs, protoMessage } from '../fields.ts'
import { type EntryList, entryList, InvalidEntry } from './entries.ts'
import { type Provider, startProvider } from './provider.ts'

const config = protoMessage({
  providerUrl: z
    .string()
    .regex(/^(https?:\/\/[^/\s:?#]+(:\d{1,5})?([/?#]\S*)?)?$/i, 'must be an http:// or https:// URL with a host')
    .default(''),
  refreshInterval: positiveDurationMs().default(60_000),
  ttl: positiveDurationMs().default(300_000),
  cachingInterval: positiveDurationMs().default(300_000),
  cachingUseCount: z.number().int().nonnegative().default(10_000),
  overrides: z.array(z.string()).default([]),
  entryType: z.enum(['STRINGS', 'CASE_INSENSITIVE_STRINGS', 'IP_ADDRESSES', 'REGEX']).default('STRINGS'),
  blacklist: z.boolean().default(false),
}).superRefine(({ providerUrl, refreshInterval, ttl, entryType, overrides }, context) => {
  const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message })
  if (providerUrl !== '' && refreshInterval === 0) refuse('refreshInterval', 'must be more than 0')
  if (providerUrl !== '' && ttl < refreshInterval) refuse('ttl', 'must not be shorter than refreshInterval')
  try {
    entryList(entryType, overrides)
  } catch (error) {
    if (!(error instanceof InvalidEntry)) throw error
    refuse('overrides', error.message)
  }
})

interface State {
  list(): EntryList
  provider: Provider | undefined
}

/** Lets pass what a list has (a whitelist), or what it has not (a blacklist). */
export default adapter({
  name: 'listchecker',
  config,
  async open(handler): Promise<State> {
    const { providerUrl, entryType, overrides, refreshInterval, ttl } = handler.config
    if (providerUrl === '') {
      const list = entryList(entryType, overrides)
      return { list: () => list, provider: undefined }
    }
    const options = { url: providerUrl, entryType, overrides, refreshMs: refreshInterval, ttlMs: ttl }
    const provider = await startProvider(options, handler)
    return { list: provider.current, provider }
  },
  close: (state) => state.provider?.close(),
  templates: {
    listentry: ({ config, state }) => {
      const validity = { validDurationMs: config.cachingInterval, validUseCount: config.cachingUseCount }
      return ({ value }) => {
        switch (state.list().lookup(value)) {
          case 'invalid':
            return deny(`${value} is not a valid IP address`, { code: 'INVALID_ARGUMENT', ...validity })
          case 'present':
            return config.blacklist ? deny(`${value} is blacklisted`, validity) : allow(validity)
          case 'absent':
            return config.blacklist ? allow(validity) : deny(`${value} is not whitelisted`, { code: 'NOT_FOUND', ...validity })
        }
      }
    },
  },
})
