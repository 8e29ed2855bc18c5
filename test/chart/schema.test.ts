import { describe, expect, it } from 'vitest';
import { leastValues, renderChart } from '../support/chart.ts';

/** What is wrong with the values, as Helm says it. */
async function mistakeOf(values: object): Promise<string> {
  return renderChart({ values: { ...leastValues, ...values } }).then(
    () => 'accepted',
    (error: unknown) => (error as Error).message,
  );
}

describe('values are refused with what is wrong', () => {
  it.each([
    [{ replicas: 3 }, /additional properties 'replicas' not allowed/],
    [{ image: { registry: 'r.example.com', proxi: {} } }, /at '\/image': additional properties 'proxi' not allowed/],
    [{ image: { registry: 'r.example.com', proxy: { digest: 'sha256:abc' } } }, /\/image\/proxy\/digest'/],
    [{ image: { registry: 'r.example.com/' } }, /\/image\/registry'/],
    [{ proxy: { settings: { maxInflight: 4 } } }, /at '\/proxy\/settings': additional properties 'maxInflight' not allowed/],
    [{ proxy: { settings: { maxInFlight: 0 } } }, /at '\/proxy\/settings\/maxInFlight': minimum: got 0, want 1/],
    [{ proxy: { settings: { redisFailurePolicy: 'open' } } }, /redisFailurePolicy': value must be one of 'LocalShare', 'Closed', 'Open'/],
    [{ proxy: { settings: { redisUrl: 'redis://h' } } }, /'redisUrl' not allowed/],
    [{ operator: { settings: { publicUrl: 'https://x' } } }, /'publicUrl' not allowed/],
    [{ operator: { replicas: 0 } }, /at '\/operator\/replicas': minimum: got 0, want 1/],
    [{ watchNamespaces: ['Team_A'] }, /\/watchNamespaces\/0': 'Team_A' does not match pattern/],
    [{ service: { type: 'ExternalName' } }, /at '\/service\/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'/],
    [{ crds: { keep: 'yes' } }, /at '\/crds\/keep': got string, want boolean/],
    [{ tls: { cert: 'x' } }, /at '\/tls': additional properties 'cert' not allowed/],
  ])('%j', async (values, message) => {
    expect(await mistakeOf(values)).toMatch(message);
  });

  it.each([
    [{ image: {} }, 'image.registry: where the images keywright-operator and keywright-proxy lie'],
    [{ redis: {} }, 'redis: limits are shared through Redis: set redis.existingSecret.name'],
    [
      { redis: { enabled: true, url: 'redis://h:6379' } },
      'redis: set one of redis.existingSecret.name, redis.url and redis.enabled, not redis.enabled and redis.url',
    ],
    [
      { redis: { url: 'redis://user:hunter2@h:6379' } },
      'redis.url: must be redis://host:port (or rediss://, redis+sentinel://, redis+cluster://) without user and password',
    ],
    [
      { publicUrl: 'llm.example.com' },
      'publicUrl: must be an http or https address without user, query and fragment, not "llm.example.com"',
    ],
    [
      { snapshotNamespace: { name: 'keywright-system' } },
      "snapshotNamespace.name: must differ from the release's namespace (keywright-system)",
    ],
    [{ proxy: { terminationGracePeriodSeconds: 30 } }, 'proxy.terminationGracePeriodSeconds: must be at least 625'],
    [
      { proxy: { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 2 } } },
      'proxy.autoscaling: maxReplicas is smaller than minReplicas',
    ],
    [{ ingress: { enabled: true } }, 'ingress.hosts: name at least one host'],
    [{ httpRoute: { enabled: true } }, 'httpRoute.parentRefs: name the Gateway that the route belongs to'],
    [{ operator: { serviceAccount: { create: false } } }, 'operator.serviceAccount.name: name the account that is to be used'],
  ])('%j', async (values, message) => {
    const mistake = await mistakeOf(values);
    expect(mistake).toContain(message);
    expect(mistake).not.toContain('hunter2');
  });

  it('takes what subcharts are given by their parents', async () => {
    expect(await mistakeOf({ global: { anything: true } })).toBe('accepted');
  });
});
