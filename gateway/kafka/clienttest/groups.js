// kafkajs: two members of a group read all that was produced, each record once, and the next begins where they ended.
const { Kafka, logLevel } = require('kafkajs')

const kafka = new Kafka({ clientId: 'js', brokers: [process.argv[2]], logLevel: logLevel.ERROR })
const count = 60
let failures = 0
const check = (name, ok, detail) => { console.log(ok ? 'ok  ' : 'FAIL', name, ok ? '' : detail); if (!ok) failures++ }
const until = async (cond) => { for (let i = 0; i < 600 && !cond(); i++) await new Promise(r => setTimeout(r, 50)); return cond() }

async function main () {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'js', numPartitions: 4 }] })
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 'js', messages: Array.from({ length: count }, (_, i) => ({ value: String(i), partition: i % 4 })) })

  const seen = []
  const members = [kafka.consumer({ groupId: 'js-group' }), kafka.consumer({ groupId: 'js-group' })]
  for (const m of members) {
    await m.connect()
    await m.subscribe({ topic: 'js', fromBeginning: true })
    await m.run({ autoCommitInterval: 100, eachMessage: async ({ message }) => { seen.push(Number(message.value)) } })
  }
  check('all is read', await until(() => new Set(seen).size === count), seen.length)
  let group
  for (let i = 0; i < 100; i++) {
    group = await admin.describeGroups(['js-group'])
    if (group.groups[0].state === 'Stable' && group.groups[0].members.length === 2) break
    await new Promise(r => setTimeout(r, 100))
  }
  check('describe', group.groups[0].state === 'Stable' && group.groups[0].members.length === 2, JSON.stringify(group))
  for (const m of members) await m.disconnect()
  const offsets = await admin.fetchOffsets({ groupId: 'js-group', topics: ['js'] })
  check('offsets', offsets[0].partitions.every(p => p.offset === '15'), JSON.stringify(offsets))
  check('list', (await admin.listGroups()).groups.some(g => g.groupId === 'js-group'))
  await admin.resetOffsets({ groupId: 'js-group', topic: 'js', earliest: true })
  const again = await admin.fetchOffsets({ groupId: 'js-group', topics: ['js'] })
  check('reset', again[0].partitions.every(p => Number(p.offset) <= 0), JSON.stringify(again))
  await admin.deleteGroups(['js-group'])
  check('deleted', !(await admin.listGroups()).groups.some(g => g.groupId === 'js-group'))
  await producer.disconnect()
  await admin.disconnect()
  process.exit(failures)
}
main().catch(e => { console.log('FAIL', e); process.exit(1) })
