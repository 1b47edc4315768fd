// A client with nothing but what Node brings: publish by fetch, read, follow by SSE, drop, resume; a WebSocket where there is one.
import assert from 'node:assert/strict'

const node = process.argv[2]
const path = `${node}/v1/streams/js/events`

async function* follow(headers) {
  const aborter = new AbortController()
  const res = await fetch(`${path}?from=earliest`, { headers: { accept: 'text/event-stream', ...headers }, signal: aborter.signal })
  assert.equal(res.status, 200)
  let text = ''
  try {
    for await (const chunk of res.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
        const fields = Object.fromEntries(text.slice(0, end).split('\n').map((l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 2)]))
        if (fields.data) yield { id: fields.id, event: JSON.parse(fields.data) }
      }
    }
  } finally {
    aborter.abort()
  }
}

const post = async (body, headers) => {
  const res = await fetch(path, { method: 'POST', body, headers })
  return [res.status, await res.json()]
}

for (let n = 0; n < 3; n++) {
  const [status, got] = await post(JSON.stringify({ specversion: '1.0', id: String(n), source: '/js', type: 't', data: { n } }),
    { 'content-type': 'application/cloudevents+json; charset=utf-8' })
  assert.equal(status, 201)
  assert.equal(got.ref, `js/0/${n}`)
}
const [status, plain] = await post(JSON.stringify({ n: 3 }), { 'content-type': 'application/json' })
assert.equal(status, 201, JSON.stringify(plain))

let last
for await (const { id, event } of follow()) {
  last = id
  if (event.data.n === 1) break
}
for await (const { event } of follow({ 'last-event-id': last })) {
  assert.equal(event.data.n, 2)
  break
}
if (globalThis.WebSocket) {
  const ws = new WebSocket(`${path.replace('http', 'ws')}?from=${last}`)
  const frame = await new Promise((ok, no) => { ws.onmessage = (m) => ok(JSON.parse(m.data)); ws.onerror = no })
  assert.equal(frame.event.data.n, 2)
  assert.equal(frame.ref, 'js/0/2')
  ws.close()
} else {
  console.log('this Node has no WebSocket: not tested')
}
const missing = await fetch(`${node}/v1/streams/j/events`)
assert.equal(missing.status, 404)
assert.equal(missing.headers.get('content-type'), 'application/problem+json')
console.log('ok')
