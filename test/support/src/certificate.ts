/**
 * Self-signed certificates for tests. Refuses to be used elsewhere: valid for two days.
 */
import { generate } from 'selfsigned'

export interface TestCertificate {
  /** PEM. It signs itself, so it is also the authority to trust. */
  certificate: string
  /** PEM. */
  key: string
}

/** For who must sign with RSA. */
export async function rsaCertificate(): Promise<TestCertificate> {
  const made = await generate([{ name: 'commonName', value: 'signer' }], {
    keyType: 'rsa',
    keySize: 2048,
    algorithm: 'sha256',
  })
  return { certificate: made.cert, key: made.private }
}

export async function certificateFor(
  names: readonly string[] = ['localhost', '127.0.0.1'],
): Promise<TestCertificate> {
  const now = Date.now()
  const made = await generate([{ name: 'commonName', value: names[0] ?? 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - 3_600_000),
    notAfterDate: new Date(now + 2 * 24 * 3_600_000),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      {
        name: 'subjectAltName',
        altNames: names.map((name) =>
          /^[\d.]+$|:/.test(name)
            ? { type: 7 as const, ip: name }
            : { type: 2 as const, value: name },
        ),
      },
    ],
  })
  return { certificate: made.cert, key: made.private }
}
