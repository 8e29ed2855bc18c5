import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface DeclaredMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

const root = join(import.meta.dirname, '..');
/** `metrics.counter({ name: 'x', help: 'y', labels: ['z'] … })`, in this order */
const declared = /\b(counter|gauge|histogram)\(\{\s*name: '([^']+)',\s*help: '((?:[^'\\]|\\.)*)'(?:,\s*labels: \[([^\]]*)\])?/g;
/** prom-client's own classes, with the full name */
const constructed = /\bnew (Counter|Gauge|Histogram)\(\{\s*name: '([^']+)',\s*help: '((?:[^'\\]|\\.)*)'(?:,\s*labelNames: \[([^\]]*)\])?/g;
/** `counterOf(registry, 'keywright_x', 'y', ['z'])` */
const shared = /\b(counter|gauge|histogram)Of\(\s*[\w.]+,\s*'([^']+)',\s*'((?:[^'\\]|\\.)*)'(?:,\s*\[([^\]]*)\])?/g;

const patterns = [declared, constructed, shared];
/** by any of the three ways, but for the places that make them of what they are given */
const anyDeclaration =
  /\.(?:counter|gauge|histogram)\(\{|\bnew (?:Counter|Gauge|Histogram)\((?!\{ name(?:,|: `))|(?<!function )\b(?:counter|gauge|histogram)Of\(/g;

/**
 * Every metric that the code of these folders declares, sorted by name. Read from the source: some are only made when what they count first happens, so that no
 * single run has all of them.
 */
export function readMetrics(folders: readonly string[]): DeclaredMetric[] {
  const found = new Map<string, DeclaredMetric>();
  for (const path of folders.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }))) {
    if (path.endsWith('.test.ts') || path.endsWith('contract.ts')) continue;
    const text = readFileSync(join(root, path), 'utf8');
    // what is written in another way must not be missing silently
    const missing =
      [...text.matchAll(anyDeclaration)].length - patterns.reduce((sum, pattern) => sum + [...text.matchAll(pattern)].length, 0);
    if (missing > 0)
      throw new Error(`${path} declares ${missing} metrics whose name, help and labels are no literals, or stand in another order`);
    for (const pattern of patterns) {
      for (const [, type = '', stated = '', help = '', labels = ''] of text.matchAll(pattern)) {
        const name = pattern === declared ? `keywright_${stated}` : stated;
        found.set(name, {
          name,
          type: type.toLowerCase(),
          help: help.replaceAll('\\', ''),
          labels: [...labels.matchAll(/'([^']+)'/g)].map(([, label = '']) => label),
        });
      }
    }
  }
  return [...found.values()].toSorted((left, right) => (left.name < right.name ? -1 : 1));
}
