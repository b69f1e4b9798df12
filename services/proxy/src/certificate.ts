/**
 * The certificate that clients see: the operator's own, or one made at the first start and kept.
 * Refuses to replace a key that is there.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import { type Configuration, CustodyError, type Home, writeFileAtomic } from '@custody/kit'
import { generate } from 'selfsigned'

/** Days that a self-signed certificate is valid. */
const VALID_DAYS = 3650

export async function loadCertificate(
  configuration: Configuration,
  home: Home,
): Promise<SecureContext> {
  const { tls } = configuration
  const certificate = tls?.certificate ?? join(home.keys, 'tls.crt')
  const key = tls?.key ?? join(home.keys, 'tls.key')
  if (!tls && !existsSync(key)) await makeCertificate(configuration, certificate, key)
  try {
    return createSecureContext({
      cert: readFileSync(certificate),
      key: readFileSync(key),
      minVersion: 'TLSv1.2',
    })
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-CONFIG-003',
      `the certificate ${certificate} or its key ${key} can't be used: ${(cause as Error).message}`,
      { cause },
    )
  }
}

async function makeCertificate(
  configuration: Configuration,
  certificate: string,
  key: string,
): Promise<void> {
  const { host } = configuration.listen
  const names = new Set(['localhost', '127.0.0.1', '::1', host])
  const made = await generate([{ name: 'commonName', value: 'Custody' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + VALID_DAYS * 86_400_000),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [...names].map((name) =>
          /^[\d.]+$|:/.test(name)
            ? { type: 7 as const, ip: name }
            : { type: 2 as const, value: name },
        ),
      },
    ],
  })
  writeFileAtomic(key, made.private, 0o600)
  writeFileAtomic(certificate, made.cert)
}
