import { statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { usageExitCode } from '../runtime/usage-exit-code.ts';
import { makeAdmission, type Admission } from '../standalone/manifests/admission.ts';
import { formatPath } from '../standalone/manifests/field-mistake.ts';
import type { Manifest } from '../standalone/manifests/parse-manifests.ts';
import { readManifestFile, scanFolder, toObjectName, toUnique, type FileSight } from '../standalone/manifests/scan-folder.ts';
import { findAdvice, type Advised } from './lint-advice.ts';
import { looksLikeOurs } from './lint-kinds.ts';

/** One thing that lint has to say. A mistake is what the API server or the operator would refuse, a warning is what will hardly be meant. */
export interface Finding {
  readonly level: 'mistake' | 'warning';
  readonly file: string;
  readonly line: number;
  /** `Kind namespace/name`; absent where the file cannot be read */
  readonly object?: string;
  readonly path?: string;
  readonly message: string;
}

export interface LintOutput {
  /** results */
  print(line: string): void;
  /** bad usage */
  complain(line: string): void;
}

interface LintResult {
  readonly findings: readonly Finding[];
  readonly checked: number;
  readonly others: number;
}

interface LintOptions {
  readonly paths: readonly string[];
  readonly isJson: boolean;
  readonly isStrict: boolean;
}

const usage = 'usage: keywright lint -f DIR|FILE [-f …] [-o text|json] [--strict]';

const standardOutput: LintOutput = {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
};

/**
 * `keywright lint`: checks manifests as the API server and the operator would, without either. Gives the exit code: 0 clean, 1 with any mistake (`--strict`: or
 * warning), 64 for a wrong command line. Values are never printed.
 */
export async function runLint(argv: readonly string[], output: LintOutput = standardOutput): Promise<number> {
  const options = parseOptions(argv);
  if ('mistake' in options) {
    output.complain(`keywright lint: ${options.mistake}\n${usage}`);
    return usageExitCode;
  }
  const result = await lint(options.paths);
  const mistakes = result.findings.filter(({ level }) => level === 'mistake').length;
  const warnings = result.findings.length - mistakes;
  if (options.isJson) output.print(JSON.stringify({ ...result, mistakes, warnings }, null, 2));
  else printText(result, { mistakes, warnings }, output);
  return mistakes > 0 || (options.isStrict && warnings > 0) ? 1 : 0;
}

function parseOptions(argv: readonly string[]): LintOptions | { readonly mistake: string } {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        filename: { type: 'string', short: 'f', multiple: true },
        output: { type: 'string', short: 'o' },
        strict: { type: 'boolean' },
      },
    });
    const { filename: paths = [], output = 'text', strict = false } = values;
    if (paths.length === 0) return { mistake: '-f is required: a folder or a file with manifests' };
    if (output !== 'text' && output !== 'json') return { mistake: '-o must be one of: text, json' };
    const missing = paths.find((path) => statSync(path, { throwIfNoEntry: false }) === undefined);
    if (missing !== undefined) return { mistake: `there is no ${missing}` };
    return { paths, isJson: output === 'json', isStrict: strict };
  } catch (error) {
    return { mistake: (error as Error).message };
  }
}

async function lint(paths: readonly string[]): Promise<LintResult> {
  const { manifests, findings, others } = await readAll(paths);
  const unique = toUnique(manifests);
  const admission = makeAdmission();
  const advised: Advised[] = [];
  const wrong = unique.objects.flatMap((manifest) => checkOne(manifest, admission, advised));
  const repeated = unique.mistakes.map((mistake): Finding => ({ level: 'mistake', ...mistake }));
  const all = [...findings, ...repeated, ...wrong, ...findAdvice(advised)];
  const sorted = all.toSorted((left, right) => compare(left.file, right.file) || left.line - right.line);
  return { findings: sorted, checked: unique.objects.length, others };
}

async function readAll(
  paths: readonly string[],
): Promise<{ manifests: readonly Manifest[]; findings: readonly Finding[]; others: number }> {
  const manifests: Manifest[] = [];
  const findings: Finding[] = [];
  let others = 0;
  for (const path of paths) {
    const { files, unreadable } = await findFiles(path);
    findings.push(
      ...unreadable.map(({ name, reason }): Finding => ({ level: 'mistake', file: name, line: 1, message: `cannot be read (${reason})` })),
    );
    for (const file of files) {
      const reading = await readManifestFile(file, (value) => !looksLikeOurs(value));
      others += reading.foreign;
      manifests.push(...reading.objects);
      if (!reading.ok) findings.push(...reading.mistakes.map((mistake): Finding => ({ level: 'mistake', ...mistake })));
    }
  }
  return { manifests, findings, others };
}

async function findFiles(
  path: string,
): Promise<{ files: readonly Pick<FileSight, 'name' | 'path'>[]; unreadable: readonly { name: string; reason: string }[] }> {
  if (!statSync(path).isDirectory()) return { files: [{ name: path, path }], unreadable: [] };
  const { files, unreadable } = await scanFolder(path);
  // names as the caller wrote them, so that an editor or a CI can open them
  return {
    files: files.map((file) => ({ name: join(path, file.name), path: file.path })),
    unreadable: unreadable.map(({ name, reason }) => ({ name: join(path, name), reason })),
  };
}

function checkOne(manifest: Manifest, admission: Admission, advised: Advised[]): readonly Finding[] {
  const result = admission.check(manifest.object);
  if (result.ok) {
    advised.push({ manifest, object: result.object });
    return [];
  }
  return result.mistakes.map(({ path, message }) => ({
    level: 'mistake',
    file: manifest.file,
    line: manifest.lineOf(path),
    object: toObjectName(manifest.object),
    ...(path.length === 0 ? {} : { path: formatPath(path) }),
    message,
  }));
}

function printText({ findings, checked, others }: LintResult, counts: { mistakes: number; warnings: number }, { print }: LintOutput): void {
  for (const { level, file, line, object, path, message } of findings) {
    const parts = [
      `${file}:${line}`,
      ...(level === 'warning' ? ['warning'] : []),
      ...(object === undefined ? [] : [object]),
      ...(path === undefined ? [] : [path]),
    ];
    print(`${parts.join(': ')}: ${message}`);
  }
  const rest = others === 0 ? '' : `; ${others} of other kinds not checked`;
  print(`${checked} objects, ${counts.mistakes} mistakes, ${counts.warnings} warnings${rest}`);
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
