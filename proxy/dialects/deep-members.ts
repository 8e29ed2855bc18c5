import type { Body } from './dialect.ts';

/** A member of an object somewhere in a body. */
export interface DeepMember {
  readonly name: string;
  readonly value: unknown;
  /** as a client would write it: `input[0].content[1].file_id` */
  readonly path: string;
  /** the object that it is a member of */
  readonly owner: Body;
}

/** A client's own names stand below these: schemas of tools and of the output, what it stores along. */
const ownNames: ReadonlySet<string> = new Set([
  'parameters',
  'input_schema',
  'output_schema',
  'schema',
  'json_schema',
  'metadata',
  'headers',
  'logit_bias',
]);

interface Place {
  readonly value: unknown;
  readonly path: string;
}

/** Every member below `root` that is no name of the client's own; no recursion, since a body may be nested a million deep. */
export function visitMembers(root: unknown, path: string, look: (member: DeepMember) => void): void {
  const pending: Place[] = [{ value: root, path }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const child of toChildren(next)) {
      if ('name' in child) look(child);
      if (typeof child.value === 'object') pending.push(child);
    }
  }
}

function toChildren({ value, path }: Place): readonly (Place | DeepMember)[] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => ({ value: item, path: `${path}[${index}]` }));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value)
    .filter(([name]) => !ownNames.has(name))
    .map(([name, member]) => ({ name, value: member as unknown, path: path === '' ? name : `${path}.${name}`, owner: value as Body }));
}
