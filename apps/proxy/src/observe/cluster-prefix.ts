/** The front of a cluster's statistics (`cluster.reviews`): by its `alt_stat_name`, if it has one, without colons. */
export function clusterPrefix({ name, altStatName = '' }: { name: string; altStatName?: string }): string {
  return `cluster.${(altStatName || name).replaceAll(':', '_')}`
}
