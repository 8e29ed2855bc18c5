import { type ChartObject, toAccess, toManifest } from './chart.ts';
import type { ControlPlane } from './control-plane.ts';

/** Paths of kubeconfigs with a token of the chart's service accounts: they may do what the chart grants and no more. */
export interface ChartAccounts {
  readonly operator: string;
  readonly proxy: string;
}

/** Brings what a release has without its workloads into a cluster where nothing is: its namespaces, resources, accounts and roles, for the release `keywright` in `keywright-system`. */
export async function installAccess(controlPlane: ControlPlane, chart: readonly ChartObject[]): Promise<ChartAccounts> {
  const objects = toAccess(chart);
  await controlPlane.kubectl('create', 'namespace', 'keywright-system');
  // by the server: what kubectl keeps of an object otherwise would make the resources twice as large
  await controlPlane.applyWith(['--server-side'], toManifest(objects));
  const names = objects.filter(({ kind }) => kind === 'CustomResourceDefinition').map(({ metadata }) => `crd/${metadata.name}`);
  await controlPlane.kubectl('wait', '--for=condition=Established', ...names, '--timeout=30s');
  const kubeconfig = async (account: string): Promise<string> =>
    controlPlane.kubeconfigFor(await controlPlane.createToken(`keywright-system/keywright-${account}`));
  return { operator: await kubeconfig('operator'), proxy: await kubeconfig('proxy') };
}
