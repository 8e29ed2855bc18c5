import { defaultKeyPrefix } from '../core/virtual-key.ts';
import { dataPlaneSettings } from '../proxy/config.ts';
import { operatorSettings } from '../operator/config.ts';
import { defineSettings } from '../runtime/environment.ts';

/** Settings of `keywright standalone`: those of the data plane, on the loopback unless told otherwise, and the few of the operator that make sense in one process. */
export const standaloneSettings = defineSettings({
  ...dataPlaneSettings,
  listen: { ...dataPlaneSettings.listen, default: '127.0.0.1:8080' },
  adminListen: { ...dataPlaneSettings.adminListen, default: '127.0.0.1:9090' },
  redisUrl: {
    name: 'KEYWRIGHT_REDIS_URL',
    kind: 'text',
    secret: true,
    description: 'Redis that holds the limits; without it they are counted in memory',
  },
  publicUrl: {
    name: 'KEYWRIGHT_PUBLIC_URL',
    kind: 'url',
    protocols: ['http', 'https'],
    description: 'where clients reach the gateway, as written into delivery Secrets; the address it listens on unless given',
  },
  tombstoneRetention: operatorSettings.tombstoneRetention,
  keyPrefix: { name: 'KEYWRIGHT_KEY_PREFIX', kind: 'text', default: defaultKeyPrefix, description: 'what generated keys begin with' },
});
