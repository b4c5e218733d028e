import { AccessLog } from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import { FileAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/file/v3/file'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import { pack } from '../wire.ts'

/** One line a request as Istio writes it where the mesh states no format of its own. */
const defaultTextFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'

/** The same as a JSON object. */
const defaultJsonFormat: Record<string, string> = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
}

/** The access logs that the mesh asks for; none where it names no file. */
export function accessLogs(mesh: MeshSettings): AccessLog[] {
  if (mesh.accessLogFile === '') return []
  const log = FileAccessLog.fromPartial({
    path: mesh.accessLogFile,
    accessLogFormat: {
      $case: 'logFormat',
      value: {
        format:
          mesh.accessLogEncoding === 'JSON'
            ? { $case: 'jsonFormat', value: jsonFormat(mesh.accessLogFormat) }
            : {
                $case: 'textFormatSource',
                value: {
                  specifier: {
                    $case: 'inlineString',
                    value: mesh.accessLogFormat === '' ? defaultTextFormat : mesh.accessLogFormat,
                  },
                },
              },
      },
    },
  })
  const typedConfig = pack('envoy.extensions.access_loggers.file.v3.FileAccessLog', FileAccessLog, log)
  return [AccessLog.fromPartial({ name: 'envoy.access_loggers.file', configType: { $case: 'typedConfig', value: typedConfig } })]
}

/** A stated JSON format is a JSON object; one that is not is the default, as Istio does. */
function jsonFormat(text: string): Record<string, unknown> {
  if (text === '') return defaultJsonFormat
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // MeshConfig was validated when it was read; what it says about its format is there already.
  }
  return defaultJsonFormat
}
