/** Events to other systems: formats, and (beside them) destinations and detections. */
export { forgetDestinations } from './delivery/log-source'
export * from './formats'
export { createSiem, isSiemWanted, type Siem, type SiemOptions } from './service'
export * from './sigma'
