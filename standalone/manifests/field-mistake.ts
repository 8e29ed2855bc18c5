/** Where in an object: property names and list positions. */
export type FieldPath = readonly (string | number)[];

/** One thing that is wrong with an object. `message` never repeats the value: it may be a secret that was put in the wrong place. */
export interface FieldMistake {
  readonly path: FieldPath;
  readonly message: string;
}

/** `['spec', 'models', 0, 'name']` → `spec.models[0].name`; names that are no identifiers are put in brackets and quotes. */
export function formatPath(path: FieldPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) return `${text}[${JSON.stringify(part)}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

export function formatMistake({ path, message }: FieldMistake): string {
  return path.length === 0 ? message : `${formatPath(path)}: ${message}`;
}
