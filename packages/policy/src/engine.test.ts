/** Ends the whole process where it fails: that is what it is about. */
import { setFlagsFromString } from 'node:v8'
import { getCedarLangVersion } from './engine'

/** (module (import "e" "f" (func)) (func (export "r") (result externref) (call 0) (ref.null extern))) */
const MODULE = Buffer.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x08, 0x02, 0x60, 0x00, 0x00, 0x60, 0x00, 0x01, 0x6f],
  ...[0x02, 0x07, 0x01, 0x01, 0x65, 0x01, 0x66, 0x00, 0x00],
  ...[0x03, 0x02, 0x01, 0x01],
  ...[0x07, 0x05, 0x01, 0x01, 0x72, 0x00, 0x01],
  ...[0x0a, 0x08, 0x01, 0x06, 0x00, 0x10, 0x00, 0xd0, 0x6f, 0x0b],
])

/** The little of it that is used here; only the browser's types have it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (
    module: object,
    imports: Record<string, Record<string, () => unknown>>,
  ) => { exports: Record<string, unknown> }
}

test('a call into WebAssembly that hands back a reference survives being deoptimised', () => {
  expect(getCedarLangVersion()).toMatch(/^\d/)
  let during = () => {}
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), {
    e: { f: () => during() },
  })
  // Compiled after the engine is there, as everything that calls it is.
  setFlagsFromString('--allow-natives-syntax')
  const make = new Function(
    'r',
    'const hot = (one) => [r(), one.x]; return [hot, () => { %DeoptimizeFunction(hot) }]',
  )
  const [hot, deoptimise] = make(exports.r) as [(one: { x: number }) => unknown, () => void]
  for (let i = 0; i < 60_000; i++) hot({ x: i })
  during = deoptimise
  expect(hot({ x: 1 })).toEqual([null, 1])
  setFlagsFromString('--no-allow-natives-syntax')
})
