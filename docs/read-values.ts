import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ChartValue {
  /** `proxy.settings` */
  readonly path: string;
  readonly default: string;
  readonly meaning: string;
}

const path = join(import.meta.dirname, '..', 'charts', 'keywright', 'values.yaml');

/** Every value of the chart with its default, and its meaning from the comments `# -- …` above it. */
export function readValues(text = readFileSync(path, 'utf8')): ChartValue[] {
  const values: ChartValue[] = [];
  const parents: string[] = [];
  let meaning: string[] = [];
  for (const line of text.split('\n')) {
    const said = /^\s*# -- (.*)$/.exec(line)?.[1];
    if (said !== undefined) {
      meaning.push(said);
      continue;
    }
    const [, indent, key, value = ''] = /^( *)([A-Za-z]+):(?: (.*))?$/.exec(line) ?? [];
    if (indent === undefined || key === undefined) continue;
    parents.length = indent.length / 2;
    parents.push(key);
    if (value !== '') values.push({ path: parents.join('.'), default: value, meaning: meaning.join(' ') });
    else if (meaning.length > 0) values.push({ path: parents.join('.'), default: '', meaning: meaning.join(' ') });
    meaning = [];
  }
  return values;
}
