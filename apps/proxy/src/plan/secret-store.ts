import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { readDataSource } from './data-source.ts'
import { readTicketKeys, type TicketKeys } from './ticket-keys.ts'
import { compileCertificate, compileValidation, type TlsCertificatePlan, type ValidationPlan } from './tls-material.ts'

/** A secret, compiled. */
export type CompiledSecret =
  | { type: 'certificate'; certificate: TlsCertificatePlan }
  | { type: 'validation'; validation: ValidationPlan }
  | { type: 'ticket-keys'; keys: TicketKeys }
  | { type: 'generic'; secret: string }
  | { type: 'other' }

/** Compiles a Secret; throws when key or certificate can't be used. */
export function compileSecret(bytes: Uint8Array): { name: string; secret: CompiledSecret } {
  const source = Secret.decode(bytes)
  const path = `Secret ${source.name}`
  switch (source.type?.$case) {
    case 'tlsCertificate':
      return {
        name: source.name,
        secret: { type: 'certificate', certificate: compileCertificate(source.type.value, `${path}: tls_certificate`) },
      }
    case 'validationContext':
      return {
        name: source.name,
        secret: { type: 'validation', validation: compileValidation(source.type.value, `${path}: validation_context`) },
      }
    case 'sessionTicketKeys':
      return {
        name: source.name,
        secret: { type: 'ticket-keys', keys: readTicketKeys(source.type.value, `${path}: session_ticket_keys`) },
      }
    case 'genericSecret': {
      const { secret } = source.type.value
      // Bytes, as header values have them.
      const text = secret === undefined ? '' : readDataSource(secret, `${path}: generic_secret.secret`).toString('latin1')
      return { name: source.name, secret: { type: 'generic', secret: text } }
    }
    default:
      return { name: source.name, secret: { type: 'other' } }
  }
}

/** The secrets of a worker by name; those who use one ask anew when `version` grew. */
export class SecretStore {
  private readonly secrets = new Map<string, CompiledSecret>()
  version = 0

  set(name: string, secret: CompiledSecret | null): void {
    if (secret === null) this.secrets.delete(name)
    else this.secrets.set(name, secret)
    this.version++
  }

  get(name: string): CompiledSecret | undefined {
    return this.secrets.get(name)
  }
}
