import { defineSettings } from './environment.ts';

/** What every process takes, whatever it is. */
export const processSettings = defineSettings({
  adminListen: {
    name: 'KEYWRIGHT_ADMIN_LISTEN',
    kind: 'address',
    default: '0.0.0.0:9090',
    description: 'where probes, metrics and debug pages are served',
  },
  logLevel: {
    name: 'KEYWRIGHT_LOG_LEVEL',
    kind: 'choice',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    description: 'least level that is logged',
  },
});
