/**
 * usage: assemble.ts [DIST [IMAGE…]]      (default: dist, all images)
 * After `tsc` has written JavaScript to DIST: puts the files beside it that are read at run time, and gathers what each image holds in DIST/images/<name>: only the
 * modules that its command loads, and of node_modules only what those need. So a proxy's image has no Kubernetes client in it, not even unused.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { readImports } from './imports.ts';

const root = join(import.meta.dirname, '..');
const [, , directory = join(root, 'dist'), ...wanted] = process.argv;
const dist = resolve(directory);
const entry = 'cli/keywright.js';

/** What is read at run time and is no module lies beside the modules that read it. */
const asset = /\.(lua|crd\.yaml)$/;

/** Image → the commands of `keywright` that it knows; absent: all of them. */
const images: Readonly<Record<string, readonly string[] | undefined>> = { operator: ['operator'], proxy: ['proxy'], keywright: undefined };

copyAssets(collect(undefined).modules, dist);
copy(join(root, 'bin', 'keywright'), join(dist, 'bin', 'keywright'));
chmodSync(join(dist, 'bin', 'keywright'), 0o755);
rmSync(join(dist, 'images'), { recursive: true, force: true });
for (const [name, commands] of Object.entries(images))
  if (wanted.length === 0 || wanted.includes(name)) assemble(join(dist, 'images', name), commands);

function assemble(target: string, commands: readonly string[] | undefined): void {
  const { modules, packages } = collect(commands);
  for (const module of modules) copy(join(dist, module), join(target, module));
  copyAssets(modules, target);
  for (const directory of withDependencies(packages)) copyPackage(directory, join(target, relative(root, directory)));
}

function copyAssets(modules: readonly string[], target: string): void {
  for (const folder of new Set(modules.map((module) => dirname(module))))
    for (const file of readdirSync(join(root, folder))) if (asset.test(file)) copy(join(root, folder, file), join(target, folder, file));
  // the version, and that these are ES modules
  const { name, version, type } = readManifest(root);
  writeFileSync(join(target, 'package.json'), `${JSON.stringify({ name, version, type })}\n`);
}

/** Everything that the entry loads; of its commands, which it loads when they are called for, only those named. */
function collect(commands: readonly string[] | undefined): { readonly modules: readonly string[]; readonly packages: ReadonlySet<string> } {
  const modules = new Set([entry]);
  const packages = new Set<string>();
  // a set that grows while it is walked is walked to its end
  for (const module of modules) {
    for (const { specifier, called } of readImports(join(dist, module))) {
      if (specifier.startsWith('node:')) continue;
      if (!specifier.startsWith('.')) {
        packages.add(toPackageName(specifier));
        continue;
      }
      const target = relative(dist, join(dist, dirname(module), specifier));
      const isCommand = module === entry && called;
      if (!isCommand || commands === undefined || commands.some((command) => target.startsWith(command + sep))) modules.add(target);
    }
  }
  return { modules: [...modules], packages };
}

function toPackageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Directories of these packages and of all they depend on, as npm has laid them out. */
function withDependencies(names: ReadonlySet<string>): ReadonlySet<string> {
  const directories = new Set([...names].map((name) => findPackage(name, root, true) ?? ''));
  for (const directory of directories) {
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = readManifest(directory);
    for (const name of Object.keys({ ...optionalDependencies, ...peerDependencies, ...dependencies })) {
      const found = findPackage(name, directory, name in dependencies && !(name in optionalDependencies));
      if (found !== undefined) directories.add(found);
    }
  }
  return directories;
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly type?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
}

/** As Node finds it: the node_modules of `from`, then those above it. */
function findPackage(name: string, from: string, required: boolean): string | undefined {
  for (let directory = from; directory.startsWith(root); directory = dirname(directory)) {
    const candidate = join(directory, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
  }
  if (required) throw new Error(`the package ${name} is not installed: run \`make setup\``);
  return undefined;
}

/** Without its own node_modules, whose packages are listed themselves, and without what only compilers and debuggers read. */
function copyPackage(installed: string, to: string): void {
  // a package may be linked into node_modules
  const from = realpathSync(installed);
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !relative(from, path).split(sep).includes('node_modules') && !/\.(map|d\.[cm]?ts)$/.test(path),
  });
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
}
