import type { OutlierDetection } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { Report } from './report.ts'
import { checkDuration, checkPercent } from './scalars.ts'

/** When endpoints are ejected. */
export function checkOutlierDetection(outlier: OutlierDetection, report: Report): void {
  checkDuration(outlier.interval, report.at('interval'))
  checkDuration(outlier.baseEjectionTime, report.at('baseEjectionTime'))
  checkPercent(outlier.maxEjectionPercent, report.at('maxEjectionPercent'))
  checkPercent(outlier.minHealthPercent, report.at('minHealthPercent'))
  if (outlier.consecutiveErrors !== 0) {
    report
      .at('consecutiveErrors')
      .warn('consecutiveErrors is no longer used', 'write consecutive5xxErrors or consecutiveGatewayErrors')
  }
  if (!outlier.splitExternalLocalOriginErrors && (outlier.consecutiveLocalOriginFailures ?? 0) > 0) {
    report.at('consecutiveLocalOriginFailures').error('needs splitExternalLocalOriginErrors: true')
  }
}
