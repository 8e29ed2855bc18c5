import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { operatorSettings } from '../../operator/config.ts';
import { proxySettings } from '../../proxy/config.ts';
import { runCommand } from '../support/child.ts';
import { type ChartObject, chartsDirectory, environmentOf, findHelm, parseObjects, renderChart, renderObjects } from '../support/chart.ts';
import { everything, renderings, withoutSchemas } from './renderings.ts';

describe.each(Object.entries(renderings))('rendering: %s', (name, rendering) => {
  it('is what testdata says', async () => {
    await expect(withoutSchemas(await renderChart(rendering))).toMatchFileSnapshot(`testdata/${name}.yaml`);
  });

  it('has the restricted Pod Security in every pod', async () => {
    for (const { kind, metadata, pod } of podsOf(await renderObjects(rendering))) {
      const where = `${kind} ${metadata.name}`;
      expect(pod.securityContext, where).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      for (const container of pod.containers) {
        expect(container.securityContext, where).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources, where).toMatchObject({ limits: { memory: expect.any(String) }, requests: { cpu: expect.any(String) } });
      }
    }
  });

  it('names no image with a moving tag, and the same selector that its pods have', async () => {
    for (const { metadata, pod, labels, selector } of podsOf(await renderObjects(rendering))) {
      for (const { image } of pod.containers) expect(image, metadata.name).toMatch(/^[^@]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$/);
      expect(labels).toMatchObject(selector);
    }
  });
});

describe('the chart', () => {
  it('passes helm lint --strict with every set of values', async () => {
    const helm = await findHelm();
    for (const { values } of Object.values(renderings)) {
      const words = ['lint', '--strict', join(chartsDirectory, 'keywright'), '--values', '-'];
      expect(await runCommand(helm, words, { input: JSON.stringify(values) })).toContain('0 chart(s) failed');
    }
    expect(await runCommand(helm, ['lint', '--strict', join(chartsDirectory, 'keywright-crds')])).toContain('0 chart(s) failed');
  });

  it('gives the CRDs as they are, kept or not', async () => {
    const own = ['virtualkey', 'channel'].flatMap((name) => parseObjects(readFileSync(`crds/${name}.crd.yaml`, 'utf8')));
    for (const chart of ['keywright', 'keywright-crds'] as const) {
      for (const keep of [true, false]) {
        const values = chart === 'keywright' ? { ...renderings['default']?.values, crds: { keep } } : { crds: { keep } };
        const rendered = crdsOf(await renderObjects({ chart, values }));
        expect(rendered.map(({ spec }) => spec)).toEqual(own.toSorted(byName).map(({ spec }) => spec));
        for (const { metadata } of rendered) {
          expect(metadata.annotations?.['helm.sh/resource-policy']).toBe(keep ? 'keep' : undefined);
          expect(metadata.annotations?.['keywright.dev/schema-version']).toBe(
            own.find((crd) => crd.metadata.name === metadata.name)?.metadata.annotations?.['keywright.dev/schema-version'],
          );
        }
      }
    }
    expect(crdsOf(await renderObjects(renderings['crds-off']))).toEqual([]);
  });

  it('sets only variables that the programs know', async () => {
    const objects = await renderObjects({ values: everything });
    for (const [word, table] of Object.entries({ operator: operatorSettings, proxy: proxySettings })) {
      const known = Object.values(table).map(({ name }) => name);
      const set = variablesOf(objects, `keywright-${word}`).filter((name) => name.startsWith('KEYWRIGHT_'));
      expect(known).toEqual(expect.arrayContaining(set));
    }
  });

  it('can set every setting: by a value of its own or in `settings`', async () => {
    const schema = JSON.parse(readFileSync(join(chartsDirectory, 'keywright', 'values.schema.json'), 'utf8')) as {
      definitions: Record<string, { properties: object }>;
    };
    const objects = await renderObjects({ values: { ...everything, watchNamespaces: ['team-a'] } });
    for (const [word, table] of Object.entries({ operator: operatorSettings, proxy: proxySettings })) {
      const inSettings = Object.keys(schema.definitions[`${word}Settings`]?.properties ?? {}).map(toVariable);
      const set = new Set([...variablesOf(objects, `keywright-${word}`), ...inSettings]);
      const left = Object.values(table).flatMap(({ name }) => (set.has(name) || notForCharts.has(name) ? [] : [name]));
      expect(left, word).toEqual([]);
    }
  });

  it('writes settings as the programs read them', async () => {
    const settings = {
      maxBodyBytes: 33_554_432,
      corsOrigins: ['https://a.example', 'https://b.example'],
      allowLinkLocal: true,
      maxInFlight: null,
    };
    const values = { ...renderings['default']?.values, proxy: { settings }, operator: { settings: { crdCheck: false, settle: '500ms' } } };
    const objects = await renderObjects({ values });
    const proxy = environmentOf(objects, 'keywright-proxy');
    expect(proxy).toMatchObject({
      KEYWRIGHT_MAX_BODY_BYTES: '33554432',
      KEYWRIGHT_CORS_ORIGINS: 'https://a.example,https://b.example',
      KEYWRIGHT_ALLOW_LINK_LOCAL: 'true',
    });
    expect(proxy).not.toHaveProperty('KEYWRIGHT_MAX_IN_FLIGHT');
    expect(environmentOf(objects, 'keywright-operator')).toMatchObject({ KEYWRIGHT_CRD_CHECK: 'off', KEYWRIGHT_SETTLE: '500ms' });
  });

  it('renders the same twice: nothing in it is random', async () => {
    expect(await renderChart({ values: everything })).toBe(await renderChart({ values: everything }));
  });

  it('takes secrets from Secrets alone', async () => {
    const objects = await renderObjects({ values: everything });
    expect(objects.filter(({ kind }) => kind === 'ConfigMap' || kind === 'Secret')).toEqual([]);
    for (const word of ['operator', 'proxy']) expect(environmentOf(objects, `keywright-${word}`)).not.toHaveProperty('KEYWRIGHT_REDIS_URL');
  });

  it('waits for running streams: the grace period follows the time to drain', async () => {
    const values = { ...renderings['default']?.values, proxy: { settings: { drainSeconds: 1800 }, preStopSeconds: 10 } };
    const [proxy] = podsOf(await renderObjects({ values })).filter(({ metadata }) => metadata.name === 'keywright-proxy');
    expect(proxy?.pod.terminationGracePeriodSeconds).toBe(1830);
  });

  it('lets OpenShift choose the user', async () => {
    for (const { pod } of podsOf(await renderObjects(renderings['openshift']))) {
      expect(pod.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    }
  });

  it('names everything after the release', async () => {
    const objects = await renderObjects({ ...renderings['default'], release: 'blue', namespace: 'team' });
    const strangers = objects.filter(
      ({ kind, metadata }) => kind !== 'CustomResourceDefinition' && !metadata.name.startsWith('blue-keywright'),
    );
    expect(strangers).toEqual([]);
    expect(objects.find(({ kind }) => kind === 'Namespace')?.metadata.name).toBe('blue-keywright-snapshot');
  });

  it('has an example for every file of examples/values, and it renders', async () => {
    const files = readdirSync('examples/values');
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const helm = await findHelm();
      const words = [
        'template',
        'keywright',
        join(chartsDirectory, 'keywright'),
        '-n',
        'keywright-system',
        '-f',
        join('examples', 'values', file),
      ];
      expect(parseObjects(await runCommand(helm, words)).length, file).toBeGreaterThan(5);
    }
  });
});

/** Nothing listens there in this version. */
const notForCharts: ReadonlySet<string> = new Set(['KEYWRIGHT_API_LISTEN']);

function toVariable(value: string): string {
  return `KEYWRIGHT_${value.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function crdsOf(objects: readonly ChartObject[]): readonly ChartObject[] {
  return objects.filter(({ kind }) => kind === 'CustomResourceDefinition').toSorted(byName);
}

function byName(left: ChartObject, right: ChartObject): number {
  return left.metadata.name < right.metadata.name ? -1 : 1;
}

interface Pod {
  readonly securityContext: object;
  readonly terminationGracePeriodSeconds?: number;
  readonly containers: readonly {
    readonly image: string;
    readonly securityContext: object;
    readonly resources: object;
    readonly env?: readonly { readonly name: string }[];
  }[];
}

function podsOf(objects: readonly ChartObject[]): readonly (ChartObject & { pod: Pod; labels: object; selector: object })[] {
  return objects
    .filter(({ kind }) => kind === 'Deployment')
    .map((object) => {
      const { selector, template } = object['spec'] as {
        selector: { matchLabels: object };
        template: { metadata: { labels: object }; spec: Pod };
      };
      return { ...object, pod: template.spec, labels: template.metadata.labels, selector: selector.matchLabels };
    });
}

/** also those whose value comes from a Secret */
function variablesOf(objects: readonly ChartObject[], deployment: string): string[] {
  return podsOf(objects)
    .filter(({ metadata }) => metadata.name === deployment)
    .flatMap(({ pod }) => pod.containers.flatMap(({ env = [] }) => env.map(({ name }) => name)));
}
