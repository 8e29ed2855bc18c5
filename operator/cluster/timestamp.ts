/** metav1.Time: RFC 3339 in whole seconds. */
export function toTimestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** metav1.MicroTime: exactly six digits behind the second. */
export function toMicroTimestamp(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
