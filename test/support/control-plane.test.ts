import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
}, 180_000);
afterAll(() => plane?.stop());

test('it is the pinned version, and objects go in and out', async () => {
  expect(JSON.parse(await plane.kubectl('version', '--output=json'))).toMatchObject({ serverVersion: { gitVersion: 'v1.36.3' } });
  await plane.apply('{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {word: hello-from-the-test}}');
  expect(await plane.kubectl('get', 'configmap', 'greeting', '--output=jsonpath={.data.word}')).toBe('hello-from-the-test');
});

test('what is stored is seen in the dump of etcd, with Secrets in the clear', async () => {
  await plane.kubectl('create', 'secret', 'generic', 'hidden', '--from-literal=word=needle-in-a-secret');
  expect((await plane.etcdDump()).includes('needle-in-a-secret')).toBe(true);
  const keys = (await plane.etcdEntries()).filter(({ value }) => value.includes('needle-in-a-secret')).map(({ key }) => key);
  expect(keys).toEqual(['/registry/secrets/default/hidden']);
});

test('the token of a service account may do what RBAC grants it and no more', async () => {
  await plane.kubectl('create', 'serviceaccount', 'reader');
  await plane.kubectl('create', 'role', 'reader', '--verb=get,list', '--resource=configmaps');
  await plane.kubectl('create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:reader');
  const kubeconfig = plane.kubeconfigFor(await plane.createToken('default/reader'));
  await expect(plane.kubectl('get', 'configmaps', '--kubeconfig', kubeconfig)).resolves.toBeDefined();
  await expect(plane.kubectl('get', 'secrets', '--kubeconfig', kubeconfig)).rejects.toThrow('forbidden');
});

test('a killed API server comes back under the same address with what it had', async () => {
  await plane.kubectl('create', 'namespace', 'kept');
  await plane.killApiServer();
  await expect(plane.kubectl('get', 'namespaces', '--request-timeout=1s')).rejects.toThrow();
  await plane.startApiServer();
  expect(await plane.kubectl('get', 'namespaces', '--output=name')).toContain('namespace/kept');
}, 180_000);
