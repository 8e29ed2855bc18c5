import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RefusalCode, refusals } from '../../../core/refusals.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { untilHolds } from '../../support/eventually.ts';
import { clients } from './clients.ts';
import { toPages, writePage } from './clients-table.ts';
import { type Gateways, startGateways } from './gateways.ts';
import { judge, type Result } from './judge.ts';
import { makeObjects, toCall, toCells, toDirectCall } from './matrix.ts';
import { nameOf } from './methods.ts';
import { type ReplayingProvider, startReplayingProvider } from './provider.ts';
import { elsewhere, refusalCases } from './refusal-cases.ts';
import { findPython, makeCalls } from './runners.ts';

const cells = toCells();
let provider: ReplayingProvider;
let gateways: Gateways;
let results: Result[] = [];

beforeAll(async () => {
  const python = findPython();
  provider = await startReplayingProvider();
  gateways = await startGateways(provider);
  await makeObjects(cells, gateways.address('usual'));
  const through = cells.map((cell) => [cell.client, toCall(cell, gateways)] as const);
  const direct = cells
    .filter(({ refusal, method }) => refusal === undefined && method.by === 'provider')
    .map((cell) => [cell.client, toDirectCall(cell, provider)] as const);
  const [outcomes] = await Promise.all([makeCalls([...direct, ...through], python), endHangingStreams()]);
  results = cells.map((cell) => judge(cell, outcomes, gateways));
}, 600_000);

/** Once all of them are there, their key is revoked. */
async function endHangingStreams(): Promise<void> {
  const count = cells.filter(({ refusal }) => refusal?.key === 'ending').length;
  // one that is missing is told by its own cell
  await untilHolds(() => expect(provider.hanging()).toBe(count), { withinMs: 400_000 }).catch(() => {});
  // what was sent has to have arrived
  await sleep(3_000);
  gateways.end();
}

afterAll(async () => {
  await gateways?.stop();
  await provider?.close();
});

describe.each(clients)('$id', (client) => {
  const own = cells.filter((cell) => cell.client === client);
  it.each([...new Set(own.map(({ method }) => nameOf(method)))])('%s is served, and refused in the words of the SDK', (method) => {
    const seen = results.filter(({ cell }) => cell.client === client && nameOf(cell.method) === method);
    const problems = seen.flatMap((result) => result.problems.map((problem) => `${result.cell.id}: ${problem}`));
    expect(seen.length).toBeGreaterThan(0);
    expect(problems).toEqual([]);
  });
});

it('no refusal is left out without a reason', () => {
  const covered = new Set<RefusalCode>([...refusalCases.map(({ code }) => code), ...(Object.keys(elsewhere) as RefusalCode[])]);
  expect(Object.keys(refusals).filter((code) => !covered.has(code as RefusalCode))).toEqual([]);
});

it('no method asks the provider for a path of which nothing is recorded', () => {
  expect(provider.unknown).toEqual([]);
});

it('docs/clients.md shows what this run has seen', () => {
  const { before, after } = toPages(results);
  if (process.env['KEYWRIGHT_WRITE_CLIENTS'] !== undefined) return writePage(after);
  expect(before, 'read the difference, and if it is right run `make clients`').toBe(after);
});
