import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChartObject, leastValues, renderObjects, toManifest } from '../support/chart.ts';
import { type ChartAccounts, installAccess } from '../support/chart-access.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { attacks, attacksInNamespaces, send } from './attacks.ts';
import { namespaces, type Outcome, tryGrant } from './checks.ts';
import { type Account, type Grant, grantsInCluster, grantsInNamespaces } from './grants.ts';
import { type BoundRole, readBoundRoles, toGrants, withoutGrant } from './roles.ts';

const modes = [
  { name: 'the whole cluster', values: leastValues, grants: grantsInCluster },
  { name: 'single namespaces', values: { ...leastValues, watchNamespaces: [namespaces.tenant] }, grants: grantsInNamespaces },
] as const;

describe.each(modes)('the rights in $name', ({ name, values, grants }) => {
  let controlPlane: ControlPlane;
  let roles: readonly BoundRole[];
  let kubeconfigs: ChartAccounts;

  beforeAll(async () => {
    controlPlane = await startControlPlane();
    const objects = await renderObjects({ values });
    roles = readBoundRoles(objects);
    await controlPlane.kubectl('create', 'namespace', 'other');
    kubeconfigs = await installAccess(controlPlane, objects);
  });
  afterAll(async () => {
    await controlPlane?.stop();
  });

  const kubeconfig = ({ account }: { account: Account }): string => kubeconfigs[account];

  /** until the API server has seen the change of the role */
  async function until(grant: Grant, wanted: Outcome): Promise<void> {
    await eventually(
      async () => {
        const outcome = await tryGrant(grant, kubeconfig(grant));
        if (outcome !== wanted) throw new Error(`${outcome}, not ${wanted}`);
        return true;
      },
      { withinMs: 60_000, everyMs: 50 },
    );
  }

  it.each(grants)('$account: $verb $resource ($place): $test', async (grant) => {
    const role = roles.find((one) => one.account === grant.account && toGrants(one).map(toText).includes(toText(grant)));
    if (role === undefined) throw new Error('no role of the chart grants it');
    await until(grant, 'allowed');
    await controlPlane.applyWith(['--server-side'], toManifest([withoutGrant(role, grant)]));
    await until(grant, 'forbidden');
    await controlPlane.applyWith(['--server-side'], toManifest([role.object]));
    await until(grant, 'allowed');
  });

  it.each([...attacks, ...(name === 'single namespaces' ? attacksInNamespaces : [])])('do not let the $account $what', async (attack) => {
    const answer = await send(attack, kubeconfig(attack));
    expect(answer.status, answer.text).toBe(403);
  });
});

describe('a token file', () => {
  let controlPlane: ControlPlane;
  beforeAll(async () => {
    controlPlane = await startControlPlane();
    await installAccess(controlPlane, await renderObjects());
  });
  afterAll(async () => {
    await controlPlane?.stop();
  });

  it.each([
    { account: 'operator', resource: 'keywright.dev/virtualkeys', verb: 'list', place: 'cluster', test: '' },
    { account: 'proxy', resource: 'secrets', verb: 'list', place: 'snapshot', test: '' },
  ] as const)('is read anew by the $account when its token is not accepted any more', async (grant) => {
    const directory = join(controlPlane.kubeconfigPath, '..');
    const tokenFile = join(directory, `token-${grant.account}`);
    const account = `keywright-system/keywright-${grant.account}`;
    const renew = async (): Promise<void> => writeFileSync(tokenFile, await controlPlane.createToken(account));
    await renew();
    const kubeconfig = controlPlane.kubeconfigForFile(tokenFile);
    expect(await tryGrant(grant, kubeconfig)).toBe('allowed');
    // a token is bound to its account: with a new account of the same name it is worth nothing
    const { metadata } = JSON.parse(
      await controlPlane.kubectl('get', 'serviceaccount', `keywright-${grant.account}`, '-n', 'keywright-system', '-o', 'json'),
    ) as ChartObject;
    await controlPlane.kubectl('delete', 'serviceaccount', metadata.name, '-n', 'keywright-system');
    await controlPlane.apply(
      toManifest([{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: metadata.name, namespace: 'keywright-system' } }]),
    );
    await eventually(
      async () =>
        tryGrant(grant, kubeconfig).then(
          () => false,
          () => true,
        ),
      { withinMs: 60_000 },
    );
    await renew();
    expect(await tryGrant(grant, kubeconfig)).toBe('allowed');
    rmSync(tokenFile);
  });
});

function toText({ account, place, resource, verb, names }: Omit<Grant, 'test'>): string {
  return [account, place, resource, verb, ...(names ?? [])].join(' ');
}
