import type { ClusterObject } from './cluster.ts';

export type Matcher = (object: ClusterObject) => boolean;

/**
 * A label selector as the API server reads it: `a=b,c!=d,e in (f,g),h notin (i),j,!k`; empty or absent matches everything.
 * Throws a TypeError for text that is none: selectors are written by us.
 */
export function parseLabelSelector(text: string | undefined): Matcher {
  const requirements = splitOutsideParentheses(text ?? '').map(toLabelRequirement);
  return (object) => requirements.every((requirement) => requirement(object.metadata.labels ?? {}));
}

/** A field selector (`metadata.name=a,type!=b`) over fields of text. */
export function parseFieldSelector(text: string | undefined): Matcher {
  const requirements = splitOutsideParentheses(text ?? '').map((part) => {
    const match = /^([\w.]+)(==|!=|=)(.*)$/.exec(part);
    if (match === null) throw new TypeError(`not a field selector: ${part}`);
    const [, path = '', operator, value] = match;
    return (object: ClusterObject) => (fieldOf(object, path) === value) === (operator !== '!=');
  });
  return (object) => requirements.every((requirement) => requirement(object));
}

function toLabelRequirement(part: string): (labels: Readonly<Record<string, string>>) => boolean {
  const set = /^([\w./-]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    // As in the API server, `notin` also matches an object without the label.
    return operator === 'in' ? (labels) => values.has(labels[key] ?? '\0') : (labels) => !values.has(labels[key] ?? '\0');
  }
  const comparison = /^([\w./-]+)\s*(==|!=|=)\s*([\w.-]*)$/.exec(part);
  if (comparison !== null) {
    const [, key = '', operator, value] = comparison;
    return (labels) => (labels[key] === value) === (operator !== '!=');
  }
  const existence = /^(!?)\s*([\w./-]+)$/.exec(part);
  if (existence === null) throw new TypeError(`not a label selector: ${part}`);
  const [, not, key = ''] = existence;
  return (labels) => Object.hasOwn(labels, key) === (not === '');
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** As the API server does, a field that is not there counts as empty. */
function fieldOf(object: ClusterObject, path: string): string {
  let value: unknown = object;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null) return '';
    value = Reflect.get(value, name);
  }
  return typeof value === 'string' ? value : '';
}
