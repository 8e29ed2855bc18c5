import { budgetsMutations } from './budgets.ts';
import { channelsMutations } from './channels.ts';
import { chartMutations } from './chart.ts';
import { clusterMutations } from './cluster.ts';
import { dialectsMutations } from './dialects.ts';
import { issuingMutations } from './issuing.ts';
import { limitsMutations } from './limits.ts';
import { redisOutageMutations } from './redis-outage.ts';
import { requestsMutations } from './requests.ts';
import { revocationMutations } from './revocation.ts';
import { secretsMutations } from './secrets.ts';
import { snapshotMutations } from './snapshot.ts';
import { storedObjectsMutations } from './stored-objects.ts';
import { usageMutations } from './usage.ts';
import type { Mutation } from './plant.ts';

/**
 * Bugs that would break a promise, each with the test that is there to catch it. A change of the code that moves one of these places brings its new text here; a place that
 * is gone for good takes its bug with it.
 */
export const mutations: readonly Mutation[] = [
  ...limitsMutations,
  ...redisOutageMutations,
  ...requestsMutations,
  ...dialectsMutations,
  ...secretsMutations,
  ...issuingMutations,
  ...revocationMutations,
  ...snapshotMutations,
  ...clusterMutations,
  ...chartMutations,
  ...usageMutations,
  ...channelsMutations,
  ...budgetsMutations,
  ...storedObjectsMutations,
];
