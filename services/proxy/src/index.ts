/** The proxy as a library; `main.ts` is it as a process. */
export { Gate, type PolicyStore, SessionGate } from './gate'
export type { CredentialVerifier, Principal } from './protocol'
export { createProxy, type Proxy, type ProxyOptions } from './proxy'
