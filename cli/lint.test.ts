import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runLint } from './lint.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-lint-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function lint(files: Record<string, string>, ...flags: string[]): Promise<{ code: number; lines: string[] }> {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const lines: string[] = [];
  const output = { print: (line: string) => void lines.push(...line.split('\n')), complain: (line: string) => void lines.push(line) };
  const code = await runLint(['-f', directory, ...flags], output);
  return { code, lines: lines.map((line) => line.replaceAll(`${directory}/`, '')) };
}

function key(name: string, spec: string, more = ''): string {
  return `apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata:\n  name: ${name}\n${more}spec: ${spec}\n---\n`;
}

function channel(name: string, spec = 'provider: OpenAI', more = ''): string {
  return `apiVersion: keywright.dev/v1alpha1\nkind: Channel\nmetadata:\n  name: ${name}\n${more}spec: { ${spec} }\n---\n`;
}

const useOfSecret = 'provider: OpenAI, auth: { apiKeys: [{ name: main, secretRef: { name: real, key: apiKey } }] }';

describe('keywright lint', () => {
  it.each([
    'examples/virtualkey.yaml',
    'examples/channel-openai.yaml',
    'examples/channel-anthropic.yaml',
    'examples/channel-gemini.yaml',
    'examples/demo/manifests',
  ])('finds nothing in %s', async (path) => {
    const lines: string[] = [];
    const output = { print: (line: string) => void lines.push(line), complain: (line: string) => void lines.push(line) };
    expect(await runLint(['-f', join(import.meta.dirname, '..', path), '--strict'], output)).toBe(0);
    expect(lines).toEqual([expect.stringMatching(/^\d+ objects, 0 mistakes, 0 warnings$/)]);
  });

  it('names file, line, object, path and what is allowed, for every mistake', async () => {
    const { code, lines } = await lint({
      'a.yaml': key('one', '\n  limits:\n    rpm: many\n  owner: { team: a, teams: b }'),
      'b.yaml': 'kind: [\n',
    });
    expect(code).toBe(1);
    expect(lines).toEqual([
      'a.yaml:7: VirtualKey default/one: spec.limits.rpm: must be an integer, is a string',
      'a.yaml:8: VirtualKey default/one: spec.owner.teams: unknown field; allowed here: team, project, user',
      expect.stringMatching(/^b\.yaml:\d: /),
      '1 objects, 2 mistakes, 0 warnings'.replace('2', '3'),
    ]);
  });

  it('gives the same as JSON', async () => {
    const { code, lines } = await lint({ 'a.yaml': key('one', '{ limit: 1 }') }, '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(lines.join('\n'))).toMatchObject({
      findings: [
        {
          level: 'mistake',
          line: 5,
          object: 'VirtualKey default/one',
          path: 'spec.limit',
          message: expect.stringMatching(/^unknown field/),
        },
      ],
      checked: 1,
      mistakes: 1,
      warnings: 0,
    });
  });

  it('refuses an object that is there twice, and a delivery template that steers other controllers', async () => {
    const template = '{ delivery: { template: { annotations: { helm.sh/hook: pre-install } } } }';
    const { code, lines } = await lint({ 'a.yaml': key('one', '{}') + key('one', '{}') + key('two', template) });
    expect(code).toBe(1);
    expect(lines).toEqual([
      'a.yaml:7: VirtualKey default/one is also in a.yaml:1, which is used; remove one of them',
      expect.stringMatching(/^a\.yaml:17: VirtualKey default\/two: spec\.delivery: delivery\.template may not set "helm\.sh\/hook"/),
      '2 objects, 2 mistakes, 0 warnings',
    ]);
  });

  it('warns of what is valid and will not work', async () => {
    const files = {
      'keys.yaml': [
        key('one', '{ access: { channels: [nowhere, other/closed, openai] } }'),
        key('two', '{ credential: { secretRef: { name: real } } }'),
        key('three', '{ delivery: { secretName: one-virtualkey } }'),
        key('four', '{ budgets: [{ period: Daily, limit: "1" }] }'),
      ].join(''),
      'channels.yaml':
        channel('openai', useOfSecret) +
        channel('closed', 'provider: OpenAI', '  namespace: other\n') +
        channel('bedrock', 'provider: Bedrock, baseURL: "https://a"'),
      'secret.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: { name: real }\nstringData: { other: a }\n',
    };
    const { code, lines } = await lint(files);
    expect(code).toBe(0);
    expect(lines.map((line) => line.replace(/^\S+ warning: /, ''))).toEqual([
      'Channel default/openai: spec.auth.apiKeys[0].secretRef: the Secret lacks the label keywright.dev/credential: "true", without which it is not read',
      'Channel default/openai: spec.auth.apiKeys[0].secretRef: the Secret has no entry apiKey',
      'Channel default/bedrock: spec.provider: is not supported by this version',
      'VirtualKey default/one: metadata.name: the key is delivered to the Secret one-virtualkey, which is also that of VirtualKey default/three',
      'VirtualKey default/one: spec.access.channels[0]: names a Channel that is not among these manifests',
      'VirtualKey default/one: spec.access.channels[1]: names a Channel that is open to its own namespace only (allowedNamespaces)',
      'VirtualKey default/two: spec.credential.secretRef: the Secret lacks the label keywright.dev/credential: "true", without which it is not read',
      'VirtualKey default/two: spec.credential.secretRef: the Secret has no entry apiKey',
      'VirtualKey default/three: spec.delivery.secretName: the key is delivered to the Secret one-virtualkey, which is also that of VirtualKey default/one',
      '8 objects, 0 mistakes, 9 warnings',
    ]);
    expect((await lint(files, '--strict')).code).toBe(1);
  });

  it('warns of keys in the open, and prints none', async () => {
    const secret = 'sk-proj-0123456789abcdefghijklmnop';
    const { code, lines } = await lint({
      'a.yaml': key('one', `{ description: "the key is ${secret}" }`, `  annotations: { note: ${secret} }\n`),
      'b.yaml': `apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { apiKey: ${secret} }\n`,
      'c.yaml': key('two', `{ credential: { hashes: [{ hash: ${secret} }] }, owner: { team: "${secret}!" } }`),
      'd.yaml': `apiVersion: v1\nkind: Secret\nmetadata: { name: b }\ndata: { apiKey: ${secret} }\n`,
      'e.yaml': `apiVersion: v1\nkind: Secret\nmetadata: { name: c }\nstringData: ${secret}\n`,
    });
    expect(code).toBe(1);
    expect(lines.join('\n')).not.toContain(secret);
    expect(lines.filter((line) => line.includes('looks like a plaintext key')).map((line) => line.split(': ')[3])).toEqual([
      'metadata.annotations.note',
      'spec.description',
    ]);
  });

  it('leaves other kinds alone', async () => {
    const { code, lines } = await lint({
      'a.yaml': 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\n',
      'kustomization.yaml': 'resources: [a.yaml]\n',
    });
    expect({ code, lines }).toEqual({ code: 0, lines: ['0 objects, 0 mistakes, 0 warnings; 1 of other kinds not checked'] });
  });

  it('passes over the files of other tools, with or without apiVersion, kind and name, and says how many', async () => {
    const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\n';
    const { code, lines } = await lint({
      'base.yaml': 'resources: [a.yaml]\nnamePrefix: team-\n',
      'component.yaml': 'apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [a.yaml]\n',
      'Chart.yaml': 'apiVersion: v2\nname: gateway\nversion: 1.0.0\n',
      'values.yaml': 'enabled: yes\nreplicas: 2\n',
      'template.yaml': 'Resources: { Name: !Ref A }\n',
      'patch.json': '[{ "op": "add", "path": "/spec/x", "value": 1 }]',
      'job.yaml': 'apiVersion: batch/v1\nkind: Job\nmetadata: { generateName: a- }\n',
      'knative.yaml': 'apiVersion: messaging.knative.dev/v1\nkind: Channel\nmetadata: { name: a }\n',
      // the same object in two overlays
      'staging.yaml': deployment,
      'production.yaml': deployment,
      'list.yaml': `apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1, kind: ConfigMap, metadata: { name: a } }, { apiVersion: keywright.dev/v1alpha1, kind: VirtualKey, metadata: { name: one }, spec: {} }]\n`,
    });
    expect({ code, lines }).toEqual({ code: 0, lines: ['1 objects, 0 mistakes, 0 warnings; 11 of other kinds not checked'] });
  });

  it.each([
    ['another version', 'apiVersion: keywright.dev/v1\nkind: VirtualKey\nmetadata: { name: a }\nspec: {}\n'],
    ['a misspelt group', 'apiVersion: keywrite.dev/v1alpha1\nkind: Channel\nmetadata: { name: a }\nspec: { provider: OpenAI }\n'],
    ['a group of another', 'apiVersion: example.com/v1\nkind: VirtualKey\nmetadata: { name: a }\nspec: {}\n'],
    ['a misspelt kind', 'apiVersion: keywright.dev/v1alpha1\nkind: VirtalKey\nmetadata: { name: a }\nspec: {}\n'],
    ['a kind in small letters and no group', 'apiVersion: v1alpha1\nkind: virtualkey\nmetadata: { name: a }\nspec: {}\n'],
    ['no apiVersion', 'kind: Channel\nmetadata: { name: a }\nspec: { provider: OpenAI }\n'],
    ['no kind', 'apiVersion: keywright.dev/v1alpha1\nmetadata: { name: a }\nspec: {}\n'],
    ['neither', 'metadata: { name: a }\nspec: {}\n'],
    ['no name', 'apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: {}\nspec: {}\n'],
    ['a Secret without apiVersion', 'kind: Secret\nmetadata: { name: a }\n'],
    ['a list that is none', '- apiVersion: keywright.dev/v1alpha1\n  kind: VirtualKey\n  metadata: { name: a }\n  spec: {}\n'],
    [
      'a word that kubectl reads otherwise',
      'apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: a }\nspec: { suspended: yes }\n',
    ],
    ['a mere word', 'virtualkey\n'],
  ])('calls what looks like ours a mistake, with %s', async (_what, text) => {
    const { code, lines } = await lint({ 'a.yaml': text });
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatch(/^[01] objects, 1 mistakes, 0 warnings$/);
  });

  it.each([[['--nope']], [[]], [['-f', '/does/not/exist']], [['-f', '.', '-o', 'xml']], [['stray']]])(
    'refuses the command line %j',
    async (argv) => {
      const lines: string[] = [];
      expect(await runLint(argv, { print: (line) => void lines.push(line), complain: (line) => void lines.push(line) })).toBe(64);
      expect(lines.join('\n')).toContain('usage: keywright lint');
    },
  );
});
