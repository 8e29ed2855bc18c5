/** Names as Kubernetes has them (k8s.io/apimachinery, pkg/util/validation). */

const qualifiedPart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** `[prefix/]name`: the name of a label or annotation. */
export function isQualifiedName(text: string): boolean {
  const parts = text.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length > 2 || (parts.length === 2 && !isSubdomain(parts[0] ?? ''))) return false;
  return name.length <= 63 && qualifiedPart.test(name);
}

/** RFC 1123 subdomain, at most 253 characters: the name of most objects. */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && subdomain.test(text);
}

/** RFC 1123 label, at most 63 characters: the name of a namespace. */
export function isLabel(text: string): boolean {
  return text.length <= 63 && label.test(text);
}

/** The value of a label: empty, or as the last part of a qualified name. */
export function isLabelValue(text: string): boolean {
  return text === '' || (text.length <= 63 && qualifiedPart.test(text));
}
