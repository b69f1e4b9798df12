/** The ways in with Keycloak, a real identity provider: OpenID Connect and SAML, end to end. */
export { type KeycloakCounts, runKeycloak } from './run'
