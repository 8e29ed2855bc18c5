import { parseArgs } from 'node:util';
import { formatNanoUsd } from '../core/money.ts';
import type { Price, Rate } from '../core/price.ts';
import type { Provider } from '../core/snapshot.ts';
import { findBuiltInPrice } from '../proxy/prices/built-in.ts';
import { usageExitCode } from '../runtime/usage-exit-code.ts';
import type { LintOutput } from './lint.ts';

const usage = 'usage: keywright price MODEL [--provider PROVIDER] [--url BASE-URL]';
const providers: readonly Provider[] = ['OpenAI', 'AzureOpenAI', 'Anthropic', 'Gemini', 'Bedrock', 'VertexAI', 'OpenAICompatible'];
const perMillion = new Set([
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWrite1h',
  'output',
  'audioInput',
  'audioOutput',
  'imageOutput',
  'character',
]);

const standardOutput: LintOutput = {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
};

/** `keywright price`: what the built-in list says of a model. Exit code 0; 1 when it does not know it; 64 for a wrong command line. */
export async function runPrice(argv: readonly string[], output: LintOutput = standardOutput, nowMs: number = Date.now()): Promise<number> {
  const options = parseOptions(argv);
  if ('mistake' in options) {
    output.complain(`keywright price: ${options.mistake}\n${usage}`);
    return usageExitCode;
  }
  const { model, baseUrl, asked } = options;
  const found = asked.flatMap((provider) => {
    const price = findBuiltInPrice({ provider, baseUrl }, model, nowMs);
    return price === undefined ? [] : [{ provider, price }];
  });
  for (const { provider, price } of found) for (const line of toLines(provider, price)) output.print(line);
  if (found.length > 0) return 0;
  output.complain(
    `keywright price: the built-in list has no price of "${model}" at ${asked.join(', ')}; a Channel can say it: models[].price`,
  );
  return 1;
}

interface PriceOptions {
  readonly model: string;
  readonly baseUrl: string;
  readonly asked: readonly Provider[];
}

function parseOptions(argv: readonly string[]): PriceOptions | { readonly mistake: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { provider: { type: 'string' }, url: { type: 'string' } },
      allowPositionals: true,
    });
    const [model, ...more] = positionals;
    if (model === undefined || more.length > 0) return { mistake: 'one MODEL is required' };
    const asked = toAsked(values.provider, values.url);
    return 'mistake' in asked ? asked : { model, ...asked };
  } catch (error) {
    return { mistake: (error as Error).message };
  }
}

function toAsked(name: string | undefined, url: string | undefined): Omit<PriceOptions, 'model'> | { readonly mistake: string } {
  const provider = providers.find((each) => each === name);
  if (name !== undefined && provider === undefined) return { mistake: `--provider must be one of: ${providers.join(', ')}` };
  if (url !== undefined) {
    if (provider !== undefined && provider !== 'OpenAICompatible') return { mistake: '--url counts only for OpenAICompatible' };
    return { baseUrl: url, asked: ['OpenAICompatible'] };
  }
  if (provider === 'OpenAICompatible') return { mistake: 'OpenAICompatible needs --url: such a server is known by its address' };
  return { baseUrl: '', asked: provider === undefined ? providers.filter((each) => each !== 'OpenAICompatible') : [provider] };
}

function toLines(provider: Provider, { rates, serviceTiers }: Price): readonly string[] {
  const lines = Object.entries(rates).map(([unit, rate]) => `  ${unit.padEnd(12)} ${toText(unit, rate)}`);
  const tiers = Object.entries(serviceTiers).map(
    ([tier, thousandths]) => `  ${tier.padEnd(12)} × ${thousandths / 1000} when a request names it`,
  );
  return [provider, ...lines, ...tiers];
}

function toText(unit: string, { nanoUsd, steps = [] }: Rate): string {
  const longer = steps.map((step) => `, ${formatNanoUsd(step.nanoUsd)} above ${step.aboveInputTokens} input tokens`);
  return `${formatNanoUsd(nanoUsd)} USD ${perMillion.has(unit) ? 'per million' : 'each'}${longer.join('')}`;
}
