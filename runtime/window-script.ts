import { readFileSync } from 'node:fs';

/** The sliding windows that all scripts of limits work on; they stand behind it. */
export const windowScript = readFileSync(new URL('./window.lua', import.meta.url), 'utf8');
