// amqplib while its node is killed: node restart.mjs AMQP_URL. As restart.py: numbers with confirms, connecting again whenever it has to.
import { createRequire } from 'node:module'
const amqp = createRequire(process.env.PEER + '/')('amqplib')

const sleep = (ms) => new Promise((r) => setTimeout(r, ms))
let ch, conn
async function connect() {
  for (let i = 0; i < 200; i++) {
    try {
      conn = await amqp.connect(process.argv[2], { timeout: 2000 })
      conn.on('error', () => {})
      ch = await conn.createConfirmChannel()
      ch.on('error', () => {})
      await ch.assertQueue('r.node', { durable: true })
      return
    } catch {
      await sleep(100)
    }
  }
  throw new Error('the node does not come back')
}
const published = (i) => new Promise((ok, failed) => {
  conn.once('close', () => failed(new Error('closed')))
  ch.publish('', 'r.node', Buffer.from(String(i)), { persistent: true }, (e) => (e ? failed(e) : ok()))
})
await connect()
let again = 0
for (let i = 0; i < 200; i++) {
  for (;;) {
    try {
      await published(i)
      break
    } catch {
      again++
      await connect()
    }
    conn.removeAllListeners('close')
  }
  conn.removeAllListeners('close')
  if (i === 99) {
    console.log('half')
    await new Promise((r) => process.stdin.once('data', r)) // somebody has killed the node
    process.stdin.destroy()
  }
}
const seen = new Set()
for (;;) {
  const m = await ch.get('r.node')
  if (!m) break
  seen.add(m.content.toString())
  ch.ack(m)
}
console.log('all there:', seen.size === 200, 'connected again:', again > 0)
await ch.deleteQueue('r.node')
await conn.close()
