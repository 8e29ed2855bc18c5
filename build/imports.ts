import { readFileSync } from 'node:fs';

export interface Import {
  readonly specifier: string;
  /** `import('…')`: loaded when it is called for */
  readonly called: boolean;
}

/** `import … from '…'`, `export … from '…'`, `import '…'` and `import('…')`; types are erased, so `import type` and `export type` do not count. */
const importPattern = /^\s*(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

/** What a module imports, in its order. */
export function readImports(path: string): Import[] {
  return [...readFileSync(path, 'utf8').matchAll(importPattern)].map(([, stated, called]) => ({
    specifier: stated ?? called ?? '',
    called: stated === undefined,
  }));
}
