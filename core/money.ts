export const nanoUsdPerUsd = 1_000_000_000;
const pattern = /^([0-9]{1,9})(?:\.([0-9]{1,9}))?$/;

/**
 * Reads a decimal amount of US dollars (`12.5`) as integer nano-dollars; NaN for anything else, also for amounts beyond 2^53 nano-dollars
 * (about nine million dollars), which a double cannot hold exactly.
 */
export function parseNanoUsd(text: string): number {
  const match = pattern.exec(text);
  if (match === null) return Number.NaN;
  const nanoUsd = Number(match[1]) * nanoUsdPerUsd + Number((match[2] ?? '').padEnd(9, '0'));
  return Number.isSafeInteger(nanoUsd) ? nanoUsd : Number.NaN;
}

/** Integer nano-dollars as a decimal amount of US dollars without trailing zeros: what `parseNanoUsd` reads back. */
export function formatNanoUsd(nanoUsd: number): string {
  const fraction = String(nanoUsd % nanoUsdPerUsd)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${Math.floor(nanoUsd / nanoUsdPerUsd)}${fraction === '' ? '' : `.${fraction}`}`;
}
