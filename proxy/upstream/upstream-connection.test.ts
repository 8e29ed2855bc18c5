import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, LookupFunction } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { makeCertificate, makeSignedCertificate } from '../../test/support/certificate.ts';
import { makeChannelRecord } from '../../test/support/records.ts';
import { required } from '../exchange.ts';
import { makeUpstreams, type UpstreamsOptions } from './upstream.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  return (server.address() as AddressInfo).port;
}

/** The status of an answer, or the code of the error. */
async function reach(channel: ChannelRecord, options: Partial<UpstreamsOptions> = {}): Promise<unknown> {
  const upstreams = makeUpstreams({ now: () => 0, ...options });
  closing.push(() => upstreams.close());
  const { pool, origin } = required(upstreams.find(channel));
  try {
    const { statusCode, body } = await pool.request({ origin, path: '/', method: 'GET' });
    await body.dump();
    return statusCode;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

describe('a name', () => {
  /** a resolver that says these addresses of every name, in the way it was asked for */
  const resolveTo =
    (...addresses: readonly string[]): LookupFunction =>
    (_hostname, { all }, callback) => {
      const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
      if (all === true) callback(null, found);
      else callback(null, found[0]?.address ?? '', found[0]?.family);
    };

  it.each([
    [['169.254.169.254']],
    [['fe80::1']],
    [['::ffff:169.254.169.254']],
    [['64:ff9b::a9fe:a9fe']],
    [['168.63.129.16']],
    // one good address does not make the other one good
    [['127.0.0.1', '169.254.169.254']],
  ])('that resolves to %j is not connected to', async (addresses) => {
    const port = await listen(createHttpServer((_request, response) => response.end('well')));
    const channel = makeChannelRecord(`http://provider.example:${port}`);
    expect(await reach(channel, { resolve: resolveTo(...addresses) })).toBe('KEYWRIGHT_ADDRESS');
  });

  it('that resolves to any other address is, and where the installation allows it to link-local ones as well', async () => {
    const port = await listen(createHttpServer((_request, response) => response.end('well')));
    const channel = makeChannelRecord(`http://provider.example:${port}`);
    expect(await reach(channel, { resolve: resolveTo('127.0.0.1') })).toBe(200);
    const asked: string[] = [];
    const resolve: LookupFunction = (hostname, options, callback) => {
      asked.push(hostname);
      resolveTo('127.0.0.1')(hostname, options, callback);
    };
    expect([await reach(channel, { resolve, allowLinkLocal: true }), asked]).toEqual([200, ['provider.example']]);
  });
});

describe('a private authority', () => {
  it('is trusted by the Channel that names it, and by no other', async () => {
    const { certificate, privateKey, authority } = await makeSignedCertificate('provider');
    const port = await listen(createServer({ cert: certificate, key: privateKey }, (_request, response) => response.end('well')));
    const at = (tls: ChannelRecord['tls']) => reach(makeChannelRecord(`https://127.0.0.1:${port}`, { tls }));
    const other = await makeCertificate('other');
    expect(await at({ ca: authority })).toBe(200);
    expect(await at({})).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(await at({ ca: other.certificate })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    // the name that is asked for is the one that the certificate has to hold
    expect(await at({ ca: authority, serverName: 'elsewhere.example' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });
});
