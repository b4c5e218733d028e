import type { Duration } from '@weft/attributes/duration'

type ConstantType = 'STRING' | 'INT64' | 'DOUBLE' | 'BOOL' | 'DURATION'

/** An expression as it was written. Operators are calls of functions with Go's token names (`EQ`, `LAND`, `INDEX` …). */
export type Syntax =
  | {
      type: 'constant'
      valueType: ConstantType
      value: string | bigint | number | boolean | Duration
      source: string
      offset: number
    }
  | { type: 'attribute'; name: string; offset: number }
  | { type: 'call'; name: string; target: Syntax | undefined; args: readonly Syntax[]; offset: number }

/** The form that error messages quote: `EQ($request.size, 3)`, `$request.path:startsWith("/")`. */
export function printSyntax(syntax: Syntax): string {
  switch (syntax.type) {
    case 'constant':
      return syntax.source
    case 'attribute':
      return `$${syntax.name}`
    case 'call': {
      const target = syntax.target === undefined ? '' : `${printSyntax(syntax.target)}:`
      return `${target}${syntax.name}(${syntax.args.map(printSyntax).join(', ')})`
    }
  }
}
