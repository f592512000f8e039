// node-influx, led through phases.
//
// usage: v1.js HOST PORT USER PASSWORD

'use strict'

const readline = require('node:readline')
const { InfluxDB } = require('influx')

const [host, port, username, password] = process.argv.slice(2)
const BATCHES = 10
const POINTS = 50

const client = new InfluxDB({ host, port: Number(port), username, password, database: 'javascript' })
const stranger = new InfluxDB({ host, port: Number(port), username, password: 'wrong', database: 'javascript' })

// Does it, and says what came of it.
async function step (name, call) {
  let shown
  try {
    shown = JSON.stringify(await call())
  } catch (error) {
    shown = `${error.constructor.name} ${error.message}`
  }
  console.log(`${name} => ${shown}`.replaceAll('\n', '\\n'))
}

function points (first) {
  return Array.from({ length: POINTS }, (_, offset) => {
    const n = first + offset
    return { measurement: 'probe', tags: { n: String(n % 5) }, fields: { v: n / 4, text: `say "${n}"`, on: n % 2 === 0 }, timestamp: n }
  })
}

async function phase (number) {
  const first = number * BATCHES * POINTS
  if (number === 0) await step('create', () => client.createDatabase('javascript'))
  for (let batch = 0; batch < BATCHES; batch++) {
    await step(`write ${batch}`, () => client.writePoints(points(first + batch * POINTS), { precision: 'ms' }))
    await step(`count ${batch}`, () => client.query('SELECT count(v), last(v) FROM probe'))
  }
  // Several at the same time.
  await step('at once', () => Promise.all(Array.from({ length: 10 }, (_, n) =>
    client.writeMeasurement('side', [{ tags: { n: String(n) }, fields: { v: n }, timestamp: number }], { precision: 's' }))))
  await step('counts at once', () => Promise.all(Array.from({ length: 10 }, () => client.query('SELECT count(v) FROM side'))))
  await step('policy', () => client.createRetentionPolicy(`kept${number}`, { duration: 'INF', replication: 1, database: 'javascript' }))
  await step('policies', () => client.showRetentionPolicies('javascript'))
  await step('copy', () => client.query(`SELECT v INTO kept${number}.copy FROM probe WHERE time >= ${first}ms GROUP BY *`))
  await step('copied', () => client.query(`SELECT count(v), sum(v) FROM kept${number}.copy`))
  await step('raw', () => client.queryRaw('SELECT last(v) FROM probe', { precision: 'ns' }))
  await step('delete', () => client.query(`DELETE FROM probe WHERE time = ${first + 1}ms`))
  await step('conflict', () => client.writePoints([{ measurement: 'probe', tags: { n: '1' }, fields: { v: 'text' }, timestamp: 1 }]))
  await step('unknown database', () => client.writePoints(points(0), { database: 'nowhere' }))
  await step('bad query', () => client.query('SELECT * FROM'))
  await step('wrong password reads', () => stranger.query('SELECT * FROM probe LIMIT 1'))
  await step('wrong password writes', () => stranger.writePoints(points(0)))
  await step('continuous query', () => client.createContinuousQuery(`each${number}`,
    'SELECT mean(v) INTO means FROM probe WHERE time < 1s GROUP BY time(1h)', 'javascript'))
  await step('user', () => client.createUser(`user${number}`, 'password', false))
  await step('grant', () => client.grantPrivilege(`user${number}`, 'READ', 'javascript'))
  await step('users', () => client.getUsers())
  await step('measurements', () => client.getMeasurements())
  await step('series', () => client.getSeries())
  await step('databases', async () => (await client.getDatabaseNames()).sort())
  await step('ping', async () => (await client.ping(5000)).map(each => each.online))
}

async function beLed () {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await phase(Number(line))
    console.log('.')
  }
}

beLed()
