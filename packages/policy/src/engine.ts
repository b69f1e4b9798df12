/**
 * Cedar's engine, which is WebAssembly, and what it takes to run it safely: everything here gets it from this file.
 * It hands back references, and V8 up to 11 (Node 20) ends the process with "unreachable code" where a call that it has
 * inlined comes back with one into code that was deoptimised meanwhile. So calls into WebAssembly are not inlined.
 */
import { setFlagsFromString } from 'node:v8'

setFlagsFromString('--no-turbo-inline-js-wasm-calls')

export * from '@cedar-policy/cedar-wasm/nodejs'
