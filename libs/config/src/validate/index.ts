import type { ConfigObject } from '../objects.ts'
import { Report, type Sink } from './report.ts'

/** The rules of an object's kind that types cannot say, as Istio's webhook has them. */
export function validate(object: ConfigObject, sink: Sink): void {
  void new Report(sink, 'spec')
  void object
}
