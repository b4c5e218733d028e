/**
 * What this proxy supports of a message: `*` for all its fields, `* -a -b` for all but some, or the names of those it
 * does. `~a` is taken but has no effect here, which is told when it is set: hints at how to spend memory or time. A message
 * that stands in no table is supported wholly where a supported field holds it, and not at all as the content of an Any (a
 * filter, a transport socket …): those have to be named.
 */
export type SupportTable = Readonly<Record<string, string>>
