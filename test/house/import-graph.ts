import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** `import … from '…'`, `export … from '…'`, `import '…'` and `import('…')`; types are erased, so `import type` and `export type` do not count. */
const importPattern = /^\s*(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/gm;

/**
 * Everything that is loaded, or may be while it runs, when `entry` is: paths from `root` and names of packages, each with the file that imports it first.
 * The linter sees only what one file imports; what a process ends up with is seen here.
 */
export function readImportGraph(root: string, entry: string): Map<string, string> {
  const found = new Map<string, string>([[entry, '']]);
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    for (const specifier of readImports(join(root, file))) {
      const target = specifier.startsWith('.') ? relative(root, join(root, dirname(file), specifier)) : specifier;
      if (found.has(target)) continue;
      found.set(target, file);
      if (specifier.startsWith('.') && target.endsWith('.ts')) waiting.push(target);
    }
  }
  return found;
}

function readImports(path: string): string[] {
  if (!existsSync(path)) throw new Error(`${path} is imported and does not exist`);
  return [...readFileSync(path, 'utf8').matchAll(importPattern)].flatMap(([, stated, called]) => stated ?? called ?? []);
}
