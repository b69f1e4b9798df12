/** The proxy as a library; `main.ts` is it as a process. */
export type { CredentialVerifier, Principal } from './protocol'
export { createProxy, type Proxy, type ProxyOptions } from './proxy'
