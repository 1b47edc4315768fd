// The common transcript by amqplib: node common.mjs AMQP_URL. common_test.go and Common.java say the same in their languages.
import { createRequire } from 'node:module'
const amqp = createRequire(process.env.PEER + '/')('amqplib')

let conn, open
async function connect() {
  conn = await amqp.connect(process.argv[2])
  open = true
  conn.on('error', () => {}) // told by whatever was asked for
  conn.on('close', () => { open = false })
}
await connect()
let section
const say = (s) => console.log(section + ': ' + s)
const sleep = (ms) => new Promise((r) => setTimeout(r, ms))
const patience = (p) => Promise.race([p, new Promise((r) => setTimeout(r, 30000).unref())])

async function channel(kind = 'createChannel') {
  const ch = await conn[kind]()
  ch.on('error', () => {}) // told by refused
  return ch
}

// refused says with which code and text a channel is closed.
async function refused(what, call) {
  const ch = await conn.createChannel()
  const closed = new Promise((r) => ch.on('error', r))
  let error
  try {
    await call(ch)
    await ch.assertQueue('', { exclusive: true })
  } catch (e) {
    error = (e.code && e) || (await patience(closed))
  }
  if (!error) return say(what + ' was not refused')
  const m = /with message "(.*)"$/s.exec(error.message)
  say(`${what} ${error.code} ${m ? m[1] : error.message}`)
}

async function get(ch, queue, noAck = true) {
  for (let end = Date.now() + 30000; ; await sleep(20)) {
    const m = await ch.get(queue, { noAck })
    if (m || Date.now() > end) return m
  }
}

async function bodies(ch, queue, n) {
  const out = []
  for (let i = 0; i < n; i++) {
    const m = await get(ch, queue)
    out.push(m ? m.content.toString() : 'nothing')
  }
  return out.join(' ')
}

// inbox is a consumer whose messages can be waited for.
async function inbox(ch, queue, options) {
  const kept = []
  let wake = () => {}
  const tag = (await ch.consume(queue, (m) => { kept.push(m); wake() }, options)).consumerTag
  return {
    tag,
    async next(ms = 30000) {
      for (const end = Date.now() + ms; kept.length === 0 && Date.now() < end; ) {
        await Promise.race([new Promise((r) => (wake = r)), new Promise((r) => setTimeout(r, end - Date.now()).unref())])
      }
      return kept.shift()
    },
  }
}

const sections = {
  async declare() {
    const ch = await channel()
    const q = await ch.assertQueue('c.declare', { durable: true })
    say(`${q.queue} ${q.messageCount} ${q.consumerCount}`)
    await refused('other durable', (c) => c.assertQueue('c.declare', { durable: false }))
    await refused('passive', (c) => c.checkQueue('c.nosuch'))
    await refused('unknown exchange', (c) => c.publish('c.nosuch', 'k', Buffer.from('x')))
    const kinds = ['direct', 'fanout', 'topic', 'headers']
    for (const kind of kinds) {
      await ch.assertExchange('c.' + kind, kind, { durable: false })
      await ch.bindQueue('c.declare', 'c.' + kind, 'a.#', { 'x-match': 'all', k: 'v' })
      ch.publish('c.' + kind, 'a.b', Buffer.from(kind), { headers: { k: 'v' } })
    }
    say('routed ' + (await bodies(ch, 'c.declare', 3)))
    for (const kind of kinds) await ch.deleteExchange('c.' + kind)
    say('deleted with ' + (await ch.deleteQueue('c.declare')).messageCount)
    await ch.close()
  },
  async confirms() {
    const ch = await channel('createConfirmChannel')
    await ch.assertQueue('c.confirms', { durable: true })
    const returned = []
    ch.on('return', (m) => returned.push(m))
    let acked = 0
    for (let i = 0; i < 100; i++) {
      ch.publish('', 'c.confirms', Buffer.from(String(i)), { persistent: true, mandatory: true }, (e) => { if (!e) acked++ })
    }
    await ch.waitForConfirms()
    say(`acked ${acked}, messages ${(await ch.checkQueue('c.confirms')).messageCount}`)
    await new Promise((done) => ch.publish('amq.direct', 'nowhere', Buffer.from('lost'), { mandatory: true }, (e) => {
      const r = returned[0]
      if (r) say(`returned ${r.fields.replyCode} ${r.fields.replyText} ${r.fields.exchange} ${r.fields.routingKey} ${r.content}, then acked ${!e}`)
      else say('not returned before the ack')
      done()
    }))
    say('deleted with ' + (await ch.deleteQueue('c.confirms')).messageCount)
    await ch.close()
  },
  async settle() {
    let ch = await channel()
    await ch.assertQueue('c.settle', { durable: false })
    for (let i = 0; i < 5; i++) ch.sendToQueue('c.settle', Buffer.from(String(i)))
    const box = await inbox(ch, 'c.settle', { consumerTag: 'settler' })
    const show = (m) => `${m.content} ${m.fields.deliveryTag} ${m.fields.redelivered}`
    const first = []
    for (let i = 0; i < 5; i++) first.push(await box.next())
    say(first.map(show).join(', '))
    ch.ack(first[0])
    ch.nack(first[2], false, true)
    const m = await box.next()
    say('again ' + show(m))
    ch.ack(m)
    ch.reject(first[3], false)
    await ch.cancel('settler')
    await ch.close()
    ch = await channel()
    say(`left ${await bodies(ch, 'c.settle', 2)}, then ${(await ch.checkQueue('c.settle')).messageCount}`)
    await refused('unknown tag', (c) => c.ack({ fields: { deliveryTag: 7 } }))
    await ch.deleteQueue('c.settle')
    await ch.close()
  },
  async prefetch() {
    const ch = await channel()
    await ch.assertQueue('c.prefetch', { durable: false })
    for (let i = 0; i < 10; i++) ch.sendToQueue('c.prefetch', Buffer.from(String(i)))
    await ch.prefetch(3)
    const box = await inbox(ch, 'c.prefetch')
    const read = async (n) => {
      const line = []
      let last
      for (let i = 0; i < n; i++) {
        last = await box.next()
        line.push(last ? last.content.toString() : 'nothing')
      }
      const more = await box.next(200)
      if (more) line.push('and ' + more.content)
      say(line.join(' '))
      return last
    }
    ch.ack(await read(3), true)
    await read(3)
    await ch.deleteQueue('c.prefetch')
    await ch.close()
  },
  async retry() {
    const ch = await channel()
    await ch.assertExchange('c.retry', 'direct', { durable: false })
    await ch.assertQueue('c.work', { durable: false, deadLetterExchange: 'c.retry', deadLetterRoutingKey: 'wait' })
    await ch.assertQueue('c.wait', { durable: false, messageTtl: 100, deadLetterExchange: '', deadLetterRoutingKey: 'c.work' })
    await ch.bindQueue('c.wait', 'c.retry', 'wait')
    ch.sendToQueue('c.work', Buffer.from('job'))
    for (let attempt = 0; attempt < 3; attempt++) {
      const m = await get(ch, 'c.work', false)
      if (!m) { say(`attempt ${attempt}: nothing comes`); break }
      let line = `attempt ${attempt}: ${m.content}`
      for (const d of m.properties.headers['x-death'] ?? []) line += `, ${d.queue} ${d.reason} ${d.count} times`
      say(line)
      if (attempt === 2) ch.ack(m)
      else ch.reject(m, false)
    }
    await ch.deleteQueue('c.work')
    await ch.deleteQueue('c.wait')
    await ch.deleteExchange('c.retry')
    await ch.close()
  },
  async priorities() {
    const ch = await channel()
    await ch.assertQueue('c.priority', { durable: false, maxPriority: 5 })
    for (const p of [0, 3, 1, 5, 3, 9]) ch.sendToQueue('c.priority', Buffer.from(String(p)), { priority: p })
    say(await bodies(ch, 'c.priority', 6))
    await ch.deleteQueue('c.priority')
    await ch.close()
  },
  async rpc() {
    const ch = await channel()
    const server = await channel()
    await server.assertQueue('c.rpc', { durable: false })
    await server.consume('c.rpc', (m) => {
      if (m) server.publish('', m.properties.replyTo, Buffer.from(m.content.toString().toUpperCase()), { correlationId: m.properties.correlationId })
    }, { noAck: true })
    const box = await inbox(ch, 'amq.rabbitmq.reply-to', { noAck: true })
    for (let i = 0; i < 3; i++) {
      ch.sendToQueue('c.rpc', Buffer.from('hello ' + i), { replyTo: 'amq.rabbitmq.reply-to', correlationId: String(i) })
      const m = await box.next()
      if (!m) throw new Error('no answer')
      say(`${m.properties.correlationId} ${m.content}`)
    }
    await server.deleteQueue('c.rpc')
    await ch.close()
    await server.close()
  },
  async cancelled() {
    const ch = await channel()
    const other = await channel()
    await ch.assertQueue('c.cancel', { durable: false })
    const told = new Promise((r) => ch.consume('c.cancel', (m) => { if (m === null) r('mine') }, { consumerTag: 'mine' }))
    await ch.checkQueue('c.cancel') // the consumer is there
    await other.deleteQueue('c.cancel')
    say((await patience(told)) ?? 'nobody says so')
    await ch.close()
    await other.close()
  },
  async exclusive() {
    const ch = await channel()
    await ch.assertQueue('c.only', { durable: false })
    await ch.consume('c.only', () => {}, { noAck: true, exclusive: true })
    await refused('second consumer', (c) => c.consume('c.only', () => {}, { noAck: true }))
    await ch.deleteQueue('c.only')
    await ch.close()
  },
}

for (const [name, run] of Object.entries(sections)) {
  section = name
  try {
    await run()
  } catch (e) {
    say('FAILED ' + e.message)
  }
  if (!open) await connect()
}
await conn.close().catch(() => {})
