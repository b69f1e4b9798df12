/** All of Custody on one machine, as a library; `main.ts` is it as `npm start`. */
export {
  createStandalone,
  type Running,
  type Standalone,
  type StandaloneOptions,
} from './standalone'
