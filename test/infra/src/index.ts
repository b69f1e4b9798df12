/** The image, the compose installation and the chart, compared with the programs that will read them. */
export * as composeRules from './compose'
export * as dockerfileRules from './dockerfile'
export * as kubernetesRules from './kubernetes'
export * from './tools'
