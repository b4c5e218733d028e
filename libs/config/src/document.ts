/** One YAML or JSON document, and where each part of it stands in its file. */
export interface Document {
  readonly apiVersion: string
  readonly kind: string
  /** The whole document as plain values. */
  readonly value: Readonly<Record<string, unknown>>
  /** The file, as it was named to the reader; `<request>` for what came over HTTP. */
  readonly file: string
  /** The line (from 1) where the document starts. */
  readonly line: number
  /** The text of the document alone. */
  readonly text: string
  /**
   * The line (from 1) of a path such as `spec.http[0].route[1].weight`; where the path does not exist, of its nearest
   * parent that does.
   */
  lineOf(path: string): number
}
