import type { ConnectionInfo } from '../transport/connection-info.ts'
import type { FormatContext } from './format/context.ts'
import type { StreamRecord } from './stream-record.ts'

/** A downstream connection as its listener's log sees it: there is no request, whatever was asked on it. */
export class ConnectionRecord implements FormatContext {
  readonly request = null
  readonly response = null
  readonly responseTrailers = null
  readonly routeMetadata = null
  readonly clusterMetadata = null
  readonly logType = 'NotSet'
  readonly connection: ConnectionInfo
  readonly info: StreamRecord
  readonly metadataOrNull: FormatContext['metadataOrNull']
  readonly filterState: FormatContext['filterState']

  /** `info`: what its filter noted, or nothing yet. */
  constructor(
    connection: ConnectionInfo,
    info: StreamRecord,
    metadata: FormatContext['metadataOrNull'] = null,
    filterState: FormatContext['filterState'] = new Map(),
  ) {
    this.connection = connection
    this.info = info
    this.metadataOrNull = metadata
    this.filterState = filterState
  }
}
