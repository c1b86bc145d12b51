// The official JavaScript SDK's client against the tester; run by the node of scripts/setup-conformance.
//
//     node client.mjs MODULES URL JSONRPC|HTTP+JSON        A2A_TOKEN is sent as a bearer token
//
// MODULES is the folder with node_modules. Prints one JSON object for each thing that it did.

import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import process from 'node:process';

const [modules, url, binding] = process.argv.slice(2);
const find = createRequire(`${modules}/`);
const sdk = await import(pathToFileURL(find.resolve('@a2a-js/sdk/client')));
const {
  ClientFactory,
  ClientFactoryOptions,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
  RestTransportFactory,
} = sdk.default ?? sdk;

const token = process.env.A2A_TOKEN;
const fetchImpl = (input, init = {}) => {
  const headers = new Headers(init.headers);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  return fetch(input, { ...init, headers });
};
const transport = binding === 'JSONRPC' ? JsonRpcTransportFactory : RestTransportFactory;
const factory = new ClientFactory(
  ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
    transports: [new transport({ fetchImpl })],
    preferredTransports: [binding],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
  }),
);

const tell = (step, facts) => console.log(JSON.stringify({ step, ...facts }));
const STATES = ['', 'submitted', 'working', 'completed', 'failed', 'canceled', 'input', 'rejected', 'auth'];
const state = (status) => STATES[status?.state] ?? status?.state;
const words = (parts) =>
  (parts ?? []).map(({ content }) => {
    if (content?.$case === 'raw') return Buffer.from(content.value).toString();
    return content?.value;
  });
const request = (behaviour, said, more = {}, configuration = undefined) => ({
  tenant: '',
  metadata: undefined,
  configuration,
  message: {
    messageId: `case-${behaviour}-${randomUUID()}`,
    contextId: '',
    taskId: '',
    role: 1,
    parts: [{ content: { $case: 'text', value: said }, metadata: undefined, filename: '', mediaType: '' }],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
    ...more,
  },
});
const payload = (event) => event.payload?.value ?? event;
const kind = (event) => event.payload?.$case ?? '';

async function refused(step, doing) {
  try {
    await doing;
    tell(step, { error: null });
  } catch (error) {
    tell(step, { error: error.name, text: String(error.message).slice(0, 200) });
  }
}

const client = await factory.createFromUrl(`${url}/`);

const done = payload(await client.sendMessage(request('complete', 'hello')));
tell('complete', { state: state(done.status), said: words(done.status.message?.parts) });
const answer = payload(await client.sendMessage(request('answer', 'hi')));
tell('answer', { role: answer.role, said: words(answer.parts) });
for (const behaviour of ['text', 'file', 'url', 'data']) {
  const task = payload(await client.sendMessage(request(behaviour, 'leaf')));
  tell(behaviour, { words: task.artifacts.map((one) => words(one.parts)) });
}

const asked = payload(await client.sendMessage(request('ask', 'begin')));
tell('ask', { state: state(asked.status), said: words(asked.status.message?.parts) });
const got = payload(await client.sendMessage(request('complete', 'England', { taskId: asked.id })));
tell('answered', { same: got.id === asked.id, state: state(got.status), words: got.artifacts.map((one) => words(one.parts)) });

const shown = (event) => {
  const value = payload(event);
  if (kind(event) === 'statusUpdate') return { kind: kind(event), state: state(value.status) };
  if (kind(event) === 'artifactUpdate')
    return { kind: kind(event), words: words(value.artifact.parts), append: value.append, last: value.lastChunk };
  return { kind: kind(event), state: state(value.status) };
};
const events = [];
for await (const event of client.sendMessageStream(request('stream', 'tea'))) events.push(shown(event));
tell('stream', { events });

const begun = client.sendMessageStream(request('slow', 'later'));
const first = payload((await begun.next()).value);
const again = client.resubscribeTask({ tenant: '', id: first.id });
const drained = async (stream) => {
  const found = [];
  for await (const event of stream) found.push(shown(event));
  return found;
};
const [one, two] = await Promise.all([drained(begun), drained(again)]);
tell('resubscribe', { first: one, again: two });

const read = await client.getTask({ tenant: '', id: done.id });
tell('get', { same: read.id === done.id, state: state(read.status) });
const list = await client.listTasks({ tenant: '', contextId: done.contextId, status: 0, pageToken: '', pageSize: 10 });
tell('list', { ids: list.tasks.map((task) => task.id === done.id), total: list.totalSize });
await refused('get unknown', client.getTask({ tenant: '', id: 'no-such-task' }));
const waiting = payload(await client.sendMessage(request('ask', 'tea')));
tell('cancel', { state: state((await client.cancelTask({ tenant: '', id: waiting.id })).status) });
await refused('cancel again', client.cancelTask({ tenant: '', id: waiting.id }));
