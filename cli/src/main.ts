/** The `custody` program: hands the command line and the terminal over, and ends with the exit code. */
import { custody } from './cli'

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

void custody(
  process.argv.slice(2),
  { stdout: process.stdout, stderr: process.stderr, environment: process.env },
  process.cwd(),
).then((code) => {
  process.exitCode = code
})
