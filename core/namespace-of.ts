/** The namespace in the id of a key or a Channel (`namespace/name`). */
export function namespaceOf(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf('/')));
}
