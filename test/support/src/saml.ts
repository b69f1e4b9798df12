/**
 * A simulator of a SAML 2.0 identity provider: it answers an AuthnRequest with a signed assertion about an account, as a form
 * that posts itself. The signature is a real one (xml-crypto); what it says can be bent, so that a test can see each bend
 * refused. The real thing, Keycloak, is in the long suite.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inflateRawSync } from 'node:zlib'
import { SignedXml } from 'xml-crypto'
import { rsaCertificate, type TestCertificate } from './certificate'

export interface Assertion {
  account: string
  email: string
  groups: readonly string[]
  audience: string
  /** Of the request; another, or none, is refused. */
  inResponseTo: string
  issuer: string
  destination: string
  /** In seconds from now. */
  notBefore: number
  notOnOrAfter: number
  nameIdFormat: string
}

export interface SamlProvider {
  entityId: string
  entryPoint: string
  /** PEM. */
  certificate: string
  /** Who is at the provider's page; what of the assertion is bent; and the response as it goes out. */
  next: {
    account: string
    bend?: (assertion: Assertion) => Partial<Assertion>
    /** Signs with this instead. */
    signer?: TestCertificate
    /** The XML after signing. */
    change?: (xml: string) => string
  }
  stop(): Promise<void>
}

const GROUPS: Record<string, string[]> = { ada: ['dba', 'sre'], bo: ['analysts'] }

export async function startSamlSimulator(): Promise<SamlProvider> {
  const own = await rsaCertificate()
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '/', provider.entityId)
    const asked = inflateRawSync(
      Buffer.from(searchParams.get('SAMLRequest') ?? '', 'base64'),
    ).toString()
    const of = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(asked)?.[1] ?? ''
    const { account, bend, signer = own, change = (xml) => xml } = provider.next
    const assertion: Assertion = {
      account,
      email: `${account}@example.com`,
      groups: GROUPS[account] ?? [],
      audience: /<saml:Issuer[^>]*>([^<]*)</.exec(asked)?.[1] ?? '',
      inResponseTo: of('ID'),
      issuer: provider.entityId,
      destination: of('AssertionConsumerServiceURL'),
      notBefore: -60,
      notOnOrAfter: 300,
      nameIdFormat: 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
    }
    const xml = change(signed({ ...assertion, ...bend?.(assertion) }, signer))
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(
      `<form method="post" action="${assertion.destination}"><input name="SAMLResponse" value="${Buffer.from(xml).toString('base64')}"><input name="RelayState" value="${searchParams.get('RelayState') ?? ''}"></form>`,
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider: SamlProvider = {
    entityId: `${base}/saml`,
    entryPoint: `${base}/sso`,
    certificate: own.certificate,
    next: { account: 'ada' },
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return provider
}

function signed(a: Assertion, signer: TestCertificate): string {
  const at = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString()
  const attribute = (name: string, values: readonly string[]) =>
    `<saml:Attribute Name="${name}">${values.map((one) => `<saml:AttributeValue>${one}</saml:AttributeValue>`).join('')}</saml:Attribute>`
  const xml = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_${randomUUID()}" Version="2.0" IssueInstant="${at(0)}" Destination="${a.destination}" InResponseTo="${a.inResponseTo}"><saml:Issuer>${a.issuer}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status><saml:Assertion ID="_${randomUUID()}" Version="2.0" IssueInstant="${at(0)}"><saml:Issuer>${a.issuer}</saml:Issuer><saml:Subject><saml:NameID Format="${a.nameIdFormat}">${a.account}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="${at(a.notOnOrAfter)}" Recipient="${a.destination}" InResponseTo="${a.inResponseTo}"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${at(a.notBefore)}" NotOnOrAfter="${at(a.notOnOrAfter)}"><saml:AudienceRestriction><saml:Audience>${a.audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="${at(0)}"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>${attribute('email', [a.email])}${attribute('groups', a.groups)}</saml:AttributeStatement></saml:Assertion></samlp:Response>`
  const signature = new SignedXml({
    privateKey: signer.key,
    signatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    canonicalizationAlgorithm: 'http://www.w3.org/2001/10/xml-exc-c14n#',
  })
  signature.addReference({
    xpath: "//*[local-name(.)='Assertion']",
    transforms: [
      'http://www.w3.org/2000/09/xmldsig#enveloped-signature',
      'http://www.w3.org/2001/10/xml-exc-c14n#',
    ],
    digestAlgorithm: 'http://www.w3.org/2001/04/xmlenc#sha256',
  })
  signature.computeSignature(xml, {
    location: { reference: "//*[local-name(.)='Assertion']/*[1]", action: 'after' },
  })
  return signature.getSignedXml()
}
