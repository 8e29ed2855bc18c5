import { setTimeout as sleep } from 'node:timers/promises';
import type { VirtualKey } from '../../core/resources.ts';
import type { CredentialRecord } from '../../operator/credentials/hashed-secret.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { eventually } from '../support/eventually.ts';
import { makePatientWriter, type PatientWriter } from '../support/patient-writer.ts';
import { channelManifests, type Installation, metric, type RunningProcess, untilReady } from './installation.ts';
import { chat } from './key-objects.ts';

export interface RotationLoad {
  readonly rotations: number;
  readonly requestsPerSecond: number;
  readonly overlapSeconds: number;
  /** the leader is killed (-9) at a random moment of each rotation, and another process started in its place */
  readonly kills: boolean;
  readonly random: () => number;
}

export interface RotationReport {
  readonly rotations: number;
  readonly kills: number;
  readonly requests: number;
  /** with a key that a rotation had replaced, inside its overlap */
  readonly retiringRequests: number;
  /** answers to a live key that were not 200, by status */
  readonly refused: Readonly<Record<string, number>>;
  /** 200 for a key whose end had passed for more than a second */
  readonly lateAcceptances: number;
  /** answers to keys that had ended, by status */
  readonly afterEnd: Readonly<Record<string, number>>;
}

interface HeldKey {
  readonly key: string;
  readonly hash: string;
  /** as the operator has recorded it; Infinity as long as it has not */
  endMs: number;
}

interface Answer {
  readonly held: HeldKey;
  readonly sentMs: number;
  readonly doneMs: number;
  readonly status: number;
}

const name = 'rotating';
/** an old key is tried so long after its end */
const afterMs = 2_500;
const tickMs = 20;

/**
 * Rotates a key again and again while clients call with the newest key from the moment it can be read, and with the one before it until well after its end. What a client may
 * expect is judged by the client's clock around each call: an answer that came before the end must be good, a call that was sent after it must not.
 */
export async function proveRotation(installation: Installation, options: RotationLoad): Promise<RotationReport> {
  const writer = makePatientWriter(installation.controlPlane);
  const operators = [installation.operator];
  const keys: HeldKey[] = [];
  const answers: Answer[] = [];
  const overlap = `${options.overlapSeconds}s`;
  let kills = 0;
  try {
    if (options.kills) operators.push(await installation.startOperator(shortLease));
    await installation.apply(channelManifests(installation.provider));
    await writer.create(name, { limits: { rpm: 1_000_000_000 }, rotation: { overlap } });
    keys.push(await untilAnother(writer, undefined));
    const load = startLoad(installation.proxies, { keys, answers, requestsPerSecond: options.requestsPerSecond });
    for (let rotation = 1; rotation <= options.rotations; rotation += 1) {
      const last = keys.at(-1);
      await writer.patch(name, { rotation: { overlap, trigger: String(rotation) } });
      const killing = options.kills ? killLeader(installation, operators, options.random() * 4_000) : undefined;
      const next = await untilAnother(writer, last?.hash);
      keys.push(next);
      // Looked for at once: the record forgets the old key when it has ended, and a new process may take longer than the overlap to start.
      if (last !== undefined) last.endMs = await untilEnding(writer, last.hash, next.hash);
      kills += (await killing) === undefined ? 0 : 1;
      await sleep(Math.max(0, (last?.endMs ?? 0) + afterMs - Date.now()));
    }
    await load.end();
    return toReport(answers, { rotations: keys.length - 1, kills }, options.overlapSeconds * 1_000);
  } finally {
    await writer.close();
    installation.operator = operators[0] ?? installation.operator;
  }
}

export const shortLease = { KEYWRIGHT_LEASE_DURATION: '6s' };

/** The key in the delivery Secret as soon as it is another one. */
async function untilAnother(writer: PatientWriter, before: string | undefined): Promise<HeldKey> {
  return eventually(
    async () => {
      const path = `/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3D${name}-virtualkey`;
      const [secret] = await writer.list<{ data?: { apiKey?: string } }>(path);
      const key = Buffer.from(secret?.data?.apiKey ?? '', 'base64').toString();
      const hash = sha256Hex(key);
      return key === '' || hash === before ? undefined : { key, hash, endMs: Infinity };
    },
    { withinMs: 120_000, everyMs: 15 },
  );
}

/** When the replaced key ends, to the millisecond: the status only knows whole seconds. */
async function untilEnding(writer: PatientWriter, hash: string, by: string): Promise<number> {
  return eventually(
    async () => {
      const path = '/api/v1/namespaces/keywright-system/secrets?labelSelector=keywright.dev/credential-record%3Dtrue';
      const secrets = await writer.list<{ data?: { record?: string } }>(path);
      const records = secrets.map(({ data }) => JSON.parse(Buffer.from(data?.record ?? 'e30=', 'base64').toString()) as CredentialRecord);
      const record = records.find(({ keyId }) => keyId === `default/${name}`);
      const isAdopted = record?.credentials.some((credential) => credential.hash === by && credential.state === 'Active') === true;
      return isAdopted ? record?.credentials.find((credential) => credential.hash === hash)?.notAfter : undefined;
    },
    { withinMs: 120_000, everyMs: 50 },
  );
}

/** Kills the process that leads and starts another one, which stands by. Gives the killed one. */
async function killLeader(installation: Installation, operators: RunningProcess[], delayMs: number): Promise<RunningProcess | undefined> {
  await sleep(delayMs);
  for (const operator of operators) {
    if ((await metric(operator, 'keywright_leader'))[0] !== 1) continue;
    operator.process.kill('SIGKILL');
    operators.splice(operators.indexOf(operator), 1);
    const fresh = await installation.startOperator(shortLease);
    await untilReady(fresh);
    operators.push(fresh);
    return operator;
  }
  return undefined;
}

/** Calls at a steady rate, whether or not earlier ones have been answered, each proxy in turn. */
function startLoad(
  proxies: readonly RunningProcess[],
  { keys, answers, requestsPerSecond }: { keys: readonly HeldKey[]; answers: Answer[]; requestsPerSecond: number },
): { end(): Promise<void> } {
  const running = new Set<Promise<void>>();
  const startedMs = performance.now();
  let sent = 0;
  const call = async (): Promise<void> => {
    const [former, newest] = [keys.at(-2), keys.at(-1)];
    const isFormersTurn = former !== undefined && sent % 2 === 0 && Date.now() < former.endMs + afterMs;
    const held = isFormersTurn ? former : newest;
    const proxy = proxies[sent % proxies.length];
    sent += 1;
    if (held === undefined || proxy === undefined) return;
    const sentMs = Date.now();
    const status = await chat(proxy, held.key).then(
      (answer) => answer.status,
      () => 0,
    );
    answers.push({ held, sentMs, doneMs: Date.now(), status });
  };
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) * requestsPerSecond) / 1_000);
    // A machine that cannot keep up is not asked to catch up: that would measure its queue.
    const most = Math.min(due - sent, 100 - running.size);
    if (most <= 0) sent = Math.max(sent, due - 100);
    for (let count = 0; count < most; count += 1) {
      const one: Promise<void> = call().finally(() => running.delete(one));
      running.add(one);
    }
  }, tickMs);
  return {
    async end() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

function toReport(answers: readonly Answer[], done: { rotations: number; kills: number }, overlapMs: number): RotationReport {
  const live = answers.filter(({ held, doneMs }) => doneMs < held.endMs);
  const over = answers.filter(({ held, sentMs }) => sentMs >= held.endMs);
  return {
    ...done,
    requests: answers.length,
    retiringRequests: live.filter(({ held, sentMs }) => sentMs >= held.endMs - overlapMs).length,
    refused: countStatuses(live.filter(({ status }) => status !== 200)),
    lateAcceptances: over.filter(({ held, sentMs, status }) => status === 200 && sentMs > held.endMs + 1_000).length,
    afterEnd: countStatuses(over),
  };
}

function countStatuses(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** The key as it stands when all is done. */
export async function readRotated(installation: Installation): Promise<VirtualKey> {
  return JSON.parse(await installation.kubectl('get', 'vk', name, '-o', 'json')) as VirtualKey;
}
