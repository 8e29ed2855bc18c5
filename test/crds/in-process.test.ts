import { describe, expect, it } from 'vitest';
import { formatPath } from '../../standalone/manifests/field-mistake.ts';
import { makeAdmission } from '../../standalone/manifests/admission.ts';
import type { ClusterObject } from '../../operator/cluster/cluster.ts';
import { listRules, readFixtureCases } from './fixtures.ts';

const admission = makeAdmission();
const cases = readFixtureCases();

describe('the fixtures', () => {
  it('have an accepted and a refused manifest for every rule of the CRDs', () => {
    const accepted = new Set(cases.filter(({ refused }) => refused === undefined).map(({ rule }) => rule));
    const refused = new Set(cases.filter((entry) => entry.refused !== undefined).map(({ rule }) => rule));
    const missing = listRules().flatMap((rule) => [
      ...(accepted.has(rule) ? [] : [`${rule}: nothing accepted`]),
      ...(refused.has(rule) ? [] : [`${rule}: nothing refused`]),
    ]);
    expect(missing).toEqual([]);
  });

  it('are about rules that the CRDs have', () => {
    const rules = new Set(listRules());
    expect(cases.filter(({ rule }) => !rules.has(rule) && !rule.endsWith(' general')).map(({ title }) => title)).toEqual([]);
  });
});

describe('admission in this process', () => {
  it.each(cases)('$title', ({ object, before, refused }) => {
    const accepted = before === undefined ? undefined : toAccepted(before);
    const result = admission.check(object, accepted);
    const mistakes = result.ok ? [] : result.mistakes.map(({ path, message }) => ({ path: formatPath(path), message }));
    const named = mistakes.some(({ path, message }) => path.startsWith(refused?.at ?? '') && message.includes(refused?.message ?? ''));
    expect({ ok: result.ok, named, mistakes }).toMatchObject({ ok: refused === undefined, named: refused !== undefined });
  });
});

function toAccepted(manifest: unknown): ClusterObject {
  const result = admission.check(manifest);
  if (!result.ok) throw new Error(result.errors.join('\n'));
  return result.object;
}
