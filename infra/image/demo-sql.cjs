/** The demo's sample data as SQL, on standard output: the same rows that `npm start` makes. */
'use strict'
const { sampleSql } = require('../../services/standalone/dist/demo/sample.js')

process.stdout.write(sampleSql())
